"""Which file system a path lies on: those of the network report no changes made elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "drvfs",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "fuse.vmhgfs-fuse",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "prl_fs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
    }
)


def file_system_of(path: bytes, mounts: str = "/proc/self/mountinfo") -> str:
    """Return the type of the file system that holds an absolute path, "" if the system does not say."""
    best, found = b"", ""
    try:
        lines = Path(mounts).read_bytes().splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(b" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = _unescape(fields[4])
        inside = path == point or path.startswith(point.rstrip(b"/") + b"/")
        if inside and len(point) >= len(best):  # a later mount hides an earlier one
            best, found = point, after.split()[0].decode("ascii", "replace")
    return found


def _unescape(field: bytes) -> bytes:
    # The kernel writes space, tab, newline and backslash of a mount point as octal (proc(5)).
    for code in (b"040", b"011", b"012"):
        field = field.replace(b"\\" + code, bytes([int(code, 8)]))
    return field.replace(b"\\134", b"\\")


def directory_id(path: bytes) -> tuple[int, int] | None:
    """Return device and inode of a directory, None if it is not there."""
    try:
        stat = os.stat(path)  # noqa: PTH116  bytes
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
