"""A Linux kernel with vhci-hcd, and an initramfs that brings it up over the host's root file system.

The kernel is Debian's own package, unpacked into a cache folder and never installed: the host keeps the
kernel that it has, which in a container or a cloud machine often lacks vhci-hcd.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import platformdirs

from tests.tools import find

INIT = Path(__file__).with_name("init.sh")
MODULES = (
    *("virtio_pci", "9pnet_virtio", "9p", "overlay", "vhci-hcd", "cdc-acm"),
    *("loop", "vfat", "nls_cp437", "nls_ascii"),
)
HOST_TOOLS = ("apt-get", "dpkg", "depmod", "modprobe", "busybox", "cpio")
DOWNLOAD_DEADLINE_S = 600
TOOL_DEADLINE_S = 120


class Kernel(NamedTuple):
    """An unpacked kernel package."""

    version: str  # as `uname -r` says it, e.g. 6.1.0-56-amd64
    root: Path  # what the package would put under /
    image: Path
    initramfs: Path


def cache_folder() -> Path:
    """Where kernels are kept: UPDATER_GUEST_CACHE, or the user's cache. About 400 MB each once unpacked."""
    chosen = os.environ.get("UPDATER_GUEST_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("updater-test-guest"))


def kernel() -> Kernel:
    """The newest kernel in the cache, downloaded first if there is none.

    A cached kernel is not replaced when Debian publishes a newer one: the tests need the network only once.
    Raises subprocess.CalledProcessError if a tool fails (apt says why on stderr), OSError if the disk does.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    cached = sorted(cache.glob("linux-image-*"), key=_release_numbers)
    root = cached[-1] if cached else _download(cache)
    version = root.name.removeprefix("linux-image-")
    return Kernel(version, root, root / "boot" / f"vmlinuz-{version}", _initramfs(root, version))


def _release_numbers(root: Path) -> list[int]:
    """6.1.0-9 comes before 6.1.0-56."""
    return [int(number) for number in re.findall(r"\d+", root.name)]


def _download(cache: Path) -> Path:
    """Fetch and unpack the kernel that linux-image-amd64 depends on.

    A half-finished one never bears the final name.
    """
    depends = _run("apt-cache", "depends", "--important", "linux-image-amd64")
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    assert found, f"linux-image-amd64 names no kernel (has `apt-get update` been run?):\n{depends}"
    with tempfile.TemporaryDirectory(dir=cache, prefix="unpacking-") as folder:
        # Run by root, apt would drop to its own user, which may not write here, and warn about that.
        _run("apt-get", "-o", "APT::Sandbox::User=root", "download", found[1], cwd=Path(folder))
        [package] = Path(folder).glob("*.deb")
        unpacked = Path(folder) / "root"
        _run("dpkg", "--extract", str(package), str(unpacked))
        _run("depmod", "-b", str(unpacked), found[1].removeprefix("linux-image-"))
        return _keep(unpacked, cache / found[1])


def _keep(unpacked: Path, final: Path) -> Path:
    """Give the finished folder its name; a test process that was faster has made the same one."""
    try:
        unpacked.rename(final)
    except OSError:
        if not final.is_dir():
            raise
    return final


def _initramfs(root: Path, version: str) -> Path:
    """The initramfs for this kernel, this init script and this busybox, built if the cache has none."""
    busybox = Path(_program("busybox"))
    modules = _modules_in_load_order(root, version)
    recipe = INIT.read_bytes() + busybox.read_bytes() + "\n".join(map(str, modules)).encode()
    built = root / f"initramfs-{hashlib.sha256(recipe).hexdigest()[:16]}.cpio.gz"
    if not built.exists():
        with tempfile.TemporaryDirectory(dir=root, prefix="packing-") as folder:
            tree = Path(folder) / "tree"
            _lay_out(tree, busybox, modules)
            packed = Path(folder) / built.name
            packed.write_bytes(gzip.compress(_cpio(tree), compresslevel=1))
            packed.rename(built)
    return built


def _modules_in_load_order(root: Path, version: str) -> list[Path]:
    """Each module after those that it needs: busybox's insmod resolves nothing by itself."""
    listing = _run("modprobe", "-d", str(root), "-S", version, "--show-depends", "--all", *MODULES)
    paths = [Path(line.split()[1]) for line in listing.splitlines() if line.startswith("insmod ")]
    return list(dict.fromkeys(paths))


def _lay_out(tree: Path, busybox: Path, modules: list[Path]) -> None:
    for folder in ("bin", "proc", "sys", "dev", "host", "layer", "newroot", "modules"):
        (tree / folder).mkdir(parents=True)
    shutil.copy(busybox, tree / "bin" / "busybox")
    shutil.copy(INIT, tree / "init")
    (tree / "init").chmod(0o755)
    names = []
    for module in modules:
        name = module.name.split(".ko")[0] + ".ko"
        (tree / "modules" / name).write_bytes(read_module(module))
        names.append(name)
    (tree / "modules" / "order").write_text("\n".join(names) + "\n", encoding="ascii")


def read_module(path: Path) -> bytes:
    """A kernel module as ELF: Debian 13 and later ship .ko.xz, and not every busybox unpacks that."""
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def _cpio(tree: Path) -> bytes:
    names = "\0".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    command = [_program("cpio"), "--create", "--null", "--format=newc", "--owner=0:0", "--quiet"]
    packed = subprocess.run(
        command, cwd=tree, input=names.encode(), stdout=subprocess.PIPE, check=True, timeout=TOOL_DEADLINE_S
    )
    return packed.stdout


def _run(program: str, *arguments: str, cwd: Path | None = None) -> str:
    deadline_s = DOWNLOAD_DEADLINE_S if program == "apt-get" else TOOL_DEADLINE_S
    done = subprocess.run(
        [_program(program), *arguments],
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=deadline_s,
    )
    return done.stdout


def _program(name: str) -> str:
    found = find(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found
