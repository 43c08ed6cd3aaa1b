"""What the writer says of itself and of its roots; reads, changes nothing.

The store's figures are made before, by the commit thread: the service thread never waits for a commit.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from config import cores
from config.machine import conditions
from config.processes import memory_bytes

if TYPE_CHECKING:
    from daemon.service import Service
    from indexer.store.stats import StoreStats


def service_status(service: Service, stats: StoreStats) -> dict[str, Any]:
    """Everything of `searchd status` that the writer knows, except its processes. In the service thread."""
    now = conditions()
    counted = {record.id for record in stats.roots}
    return {
        "generation": service.generation,
        "trouble": str(service.trouble or ""),
        "roots": [root_status(service, root_id, stats) for root_id in service.roots if root_id in counted],
        "index": {
            "segments": stats.segments,
            "blobs": stats.blobs,
            "dead_blobs": stats.dead_blobs,
            "chunks": stats.chunks,
            "symbols": stats.symbols,
            "references": stats.references,
            "content_bytes": stats.content_bytes,
            "dead_bytes": stats.dead_bytes,
            "file_bytes": stats.file_bytes,
            "vector_bytes": service.pool_bytes,
            "section_bytes": stats.section_bytes,
            "write_amplification": round(stats.write_amplification, 2),
            "quarantined": stats.quarantined,
            "merging": service.merging.busy,
            "merges": service.merging.n_merges,
        },
        "model": {
            "name": service.model.name,
            "dim": service.model.dim,
            "fingerprint": service.model.fingerprint,
        },
        "conditions": {
            "memory": now.memory,
            "thermal": now.thermal,
            "on_battery": now.on_battery,
            "load": round(now.load, 2),
        },
    }


def processes(service: Service) -> list[dict[str, Any]]:
    """The writer and its workers. In any thread: to measure memory takes milliseconds."""
    return [
        {
            "name": "writer",
            "pid": os.getpid(),
            "uptime_s": round(time.time() - service.started, 1),
            "memory": memory_bytes(os.getpid()),
            "placement": cores.report(),
        },
        *({"name": "worker", "pid": pid, "memory": memory_bytes(pid)} for pid in service.workers.pids),
    ]


def root_status(service: Service, root_id: int, stats: StoreStats) -> dict[str, Any]:
    """What is known of one root. In the service thread. Raises NoSuchRoot."""
    root = service.root(root_id)
    record = next(record for record in stats.roots if record.id == root_id)
    skipped = Counter(each.reason for each in service.lookup.all_skipped(root_id).values())
    progress = service.pipeline.progress(root_id)
    taken = (progress.finished or time.monotonic()) - progress.started if progress.started else 0.0
    files_per_s = progress.files_done / taken if taken > 0 else 0.0
    left = progress.files_total - progress.files_done
    return {
        "id": root_id,
        "path": os.fsdecode(root.path),
        "phase": service.phase(root),
        "generation": service.generation,
        "files": record.files,
        "bytes": record.bytes,
        "pending": service.pipeline.pending(root_id) + root.pending(),
        "scanning": root.scanning,
        "structure_done": root.files - root.shallow,
        "structure_total": root.files,
        "files_done": progress.files_done,
        "files_total": progress.files_total,
        "bytes_done": progress.bytes_done,
        "files_per_s": round(files_per_s, 1),
        "bytes_per_s": round(progress.bytes_done / taken) if taken > 0 else 0,
        "eta_s": round(left / files_per_s, 1) if files_per_s and left else 0.0,
        "skipped": dict(skipped),
        "problem": root.problem,
        "last_scan": root.last_scan,
        "watcher": root.health(),
    }
