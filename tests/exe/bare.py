"""A root file system with the C library, zlib and one program: no Python, no libusb, no desktop.

zlib because PyInstaller's bootloader is linked with the system's; it unpacks what the program carries.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.exe.build import RUN_DEADLINE_S, Executable
from tests.tools import need, unavailable

# Debian's packages libc6 and zlib1g, as far as programs are linked with them. dpkg itself needs both.
LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1"),
    *("libresolv.so.2", "libz.so.1"),
)
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class BareRoot:
    """The folder that is `/` for the program. `program` is its path in there."""

    folder: Path
    program: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program with `/` here, in a namespace of its own, with no environment but HOME and PATH."""
        own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
        enter = 'mount -t proc proc "$0/proc" && root=$0 && exec chroot "$root" "$@"'
        alone = ["unshare", *own_user, "--mount", "--pid", "--fork", "/bin/sh", "-c", enter]
        return subprocess.run(
            [*alone, str(self.folder), self.program, *arguments],
            env={"HOME": "/home", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_DEADLINE_S,
        )

    def with_certificates(self) -> BareRoot:
        """The same after `apt install ca-certificates`, as far as a program sees it."""
        if not CERTIFICATES.is_file():
            unavailable("this machine has no certificates to lend; Debian: apt install ca-certificates")
        place = self.folder / CERTIFICATES.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CERTIFICATES, place)
        return self


def bare_root(folder: Path, program: Executable, *more: Path) -> BareRoot:
    """Make one with this program in /bin, or its whole folder, and more files in `/`."""
    need("unshare", "chroot")
    libraries = _libraries()
    for place in ("bin", "home", "proc", "tmp", "lib64", str(libraries.relative_to("/"))):
        (folder / place).mkdir(parents=True)
    shutil.copy(LOADER, folder / LOADER.relative_to("/"))
    for name in LIBRARIES:
        shutil.copy(libraries / name, folder / libraries.relative_to("/") / name)
    for file in more:
        shutil.copy(file, folder / file.name)
    beside = program.path.parent / "_internal"
    if beside.is_dir():
        shutil.copytree(beside, folder / "bin" / "_internal")
    shutil.copy(program.path, folder / "bin" / program.path.name)
    return BareRoot(folder, f"/bin/{program.path.name}")


def _libraries() -> Path:
    """Where this machine keeps its C library: this very process has loaded it."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    found = re.search(r"(/\S+)/libc\.so\.6$", maps, re.MULTILINE)
    if found is None or not LOADER.exists():
        unavailable("the bare root is made of the files of glibc and zlib on x86-64")
    return Path(found[1])
