"""Run a shell script as root in a small virtual machine whose kernel has a virtual USB host controller.

dfu-util, lsusb and our own updater meet virtual boards there as they meet real ones: through libusb,
usbfs and the kernel; only the wire is TCP (USB/IP). The machine is emulated in software (no KVM), so it
runs wherever QEMU does, a few times slower than the host. Its root file system is the host's, under a
layer in memory: the same paths, the same Python, the same project, and nothing that it writes remains,
except in the results folder.
"""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.tools import need, unavailable
from tests.usb import kernel

PROJECT = Path(__file__).resolve().parents[2]
RESULTS = "/mnt/results"
HOST = "10.0.2.2"
CONSOLE_TAIL = 4000  # characters


@dataclass(frozen=True)
class GuestRun:
    """What a script left behind."""

    exit_status: int
    output: str  # stdout and stderr of the script, without the kernel's console
    seconds: float  # from starting the machine until it was off


def run_in_guest(script: str, *, results: Path, deadline_s: float, network: bool = False) -> GuestRun:
    """Boot, run `script` with /bin/sh in the project folder, switch off.

    `network`: the script reaches what this machine serves on its loopback, at the address HOST.

    The script finds the host folder `results` writable at $RESULTS and this interpreter at $PYTHON; apart
    from PATH, HOME and LANG it has no other environment. Skips the test where the tools are absent.
    Raises AssertionError, with the tail of the console, if the machine is not off after `deadline_s`
    seconds or goes off before the script has ended. Preparing a kernel the first time does not count.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        unavailable("the guest runs the host's own programs, on an x86-64 kernel")
    need("qemu-system-x86_64", "usbip", *kernel.HOST_TOOLS)
    chosen = kernel.kernel()
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="guest-") as folder:
        job = Path(folder)
        (job / "script").write_text(_network(chosen) + script if network else script, encoding="utf-8")
        (job / "start").write_text(_start(), encoding="utf-8")
        seconds = _boot(_command(chosen, job, results, network=network), job, deadline_s)
        status = _read(job / "exit_status").strip()
        assert status, f"the guest went off before its script had ended\n{_tails(job)}"
        return GuestRun(int(status), _read(job / "output"), seconds)


def _start() -> str:
    """The line that /init runs in the host's root: a known environment, the project folder, the script."""
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHON": sys.executable,
        "RESULTS": RESULTS,
    }
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    return f"cd {shlex.quote(str(PROJECT))} && exec env -i {settings} /bin/sh /mnt/job/script\n"


def _network(chosen: kernel.Kernel) -> str:
    """Bring QEMU's own little network up; its addresses are fixed (QEMU's documentation of -netdev user)."""
    return (
        f"modprobe -d {shlex.quote(str(chosen.root))} virtio_net\n"
        "interface=$(ls /sys/class/net | grep -v '^lo$' | head -n 1)\n"
        'busybox ip link set "$interface" up && busybox ip addr add 10.0.2.15/24 dev "$interface"\n'
    )


def _boot(command: list[str], job: Path, deadline_s: float) -> float:
    """Run the machine until it is off and return the seconds that took; kill it at the deadline."""
    started = time.monotonic()
    with (job / "console").open("wb") as console:
        machine = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
        )
        try:
            machine.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the guest was not off after {deadline_s:g} s\n{_tails(job)}") from None
        finally:
            machine.kill()
            machine.wait()
    return time.monotonic() - started


def _command(chosen: kernel.Kernel, job: Path, results: Path, *, network: bool) -> list[str]:
    card = "user,model=virtio-net-pci" if network else "none"
    return [
        "qemu-system-x86_64",
        # No -accel kvm: where nested virtualisation is missing it hangs or aborts.
        *("-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "2048"),
        *("-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", card, "-no-reboot"),
        *("-kernel", str(chosen.image), "-initrd", str(chosen.initramfs)),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        *("-virtfs", _share("host", Path("/")) + ",readonly=on"),
        *("-virtfs", _share("job", job)),
        *("-virtfs", _share("results", results.resolve())),
    ]


def _share(tag: str, folder: Path) -> str:
    # QEMU reads two commas as one. multidevs=remap keeps inode numbers apart where `/` has disks under it.
    path = str(folder).replace(",", ",,")
    return f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap"


def _tails(job: Path) -> str:
    console, output = _read(job / "console"), _read(job / "output")
    return f"--- console ---\n{console[-CONSOLE_TAIL:]}\n--- output ---\n{output[-CONSOLE_TAIL:]}"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
