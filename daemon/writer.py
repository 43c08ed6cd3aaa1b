"""The writer process: `python -m daemon.writer`, started by the supervisor.

The service, and a server on a socket of its own for what query processes forward to it.
"""

from __future__ import annotations

import gc
import logging
import signal
import sys

from config import cores, paths
from config import settings as config_settings
from config.threads import Thread
from daemon.child import Supervised
from daemon.control import Control
from daemon.listening import listen
from daemon.server import Limits, Server
from daemon.service import Service
from indexer.embed.static import SharedModel
from indexer.store.format import FORMAT_VERSION

# Between collections: a scan makes 300,000 objects and no cycles, and took a fifth longer.
GC_OBJECTS = 50_000


def main() -> int:
    """Run until SIGTERM."""
    supervised = Supervised()
    gc.set_threshold(GC_OBJECTS)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s writer %(levelname)s %(message)s")
    settings = config_settings.load()
    # The service thread hands out work and answers requests; what costs is done by the workers and by numpy
    # and zlib in the commit thread. All of it yields to queries.
    cores.place("background")
    store_dir = paths.ensure_private_dir(paths.store_dir(FORMAT_VERSION))
    model = SharedModel()
    pool_dir = paths.ensure_private_dir(paths.pool_dir(FORMAT_VERSION, model.fingerprint))
    service = Service(settings, store_dir, model, pool_dir, in_use=supervised.active)
    control = Control(service)
    server = Server(
        listen(paths.writer_socket()), control.dispatch, Limits.of(settings), slow=control.is_slow
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    serving = Thread(target=server.run, name="control")
    serving.start()
    supervised.ready()
    try:
        service.run()
    finally:
        server.stop()
        serving.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
