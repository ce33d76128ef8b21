"""Shell text for the guest: virtual boards on the kernel's USB while some commands run."""

from __future__ import annotations

import shlex

SERVER_PORT = 3240  # registered for USB/IP
READY_DEADLINE_S = 120  # Python starts slowly under emulation
STOP_DEADLINE_S = 30
# Exit statuses of this text itself, apart from the updater's (0 to 14, 70) and the shell's (126 and up).
NOT_READY = 90
NOT_STOPPED = 91


def attached_boards_script(lab: str, commands: str, *, devices: int = 1) -> str:
    """A script that plugs the boards of the lab folder `lab` in, runs `commands`, and unplugs them again.

    It starts `updater lab serve --attach`, waits until its port answers and `devices` devices have a
    configuration, runs `commands` in a subshell, stops the server with SIGTERM and waits until it is gone,
    so that what it persists is on disk. The exit status is that of `commands`, or NOT_READY or NOT_STOPPED.
    What the server said is in $RESULTS/serve.log, and in the output too if it was never ready.
    `lab` is the guest's path and may use its variables: "$RESULTS/lab" is a folder that the host sees too.
    """
    arguments = f'-m updater --lab "{lab}" lab serve --port {SERVER_PORT} --attach'
    return served(f'"$PYTHON" {arguments}', commands, devices=devices)


def served(server: str, commands: str, *, devices: int) -> str:
    """The same with any command that serves USB/IP on SERVER_PORT and attaches its boards itself."""
    steps = [
        _FUNCTIONS,
        f'{server} >"$RESULTS/serve.log" 2>&1 &',
        "server=$!",
        f"if wait_until_ready {devices}; then",
        f"    (eval {shlex.quote(commands)})",
        "    status=$?",
        "else",
        '    cat "$RESULTS/serve.log"',
        f"    status={NOT_READY}",
        "fi",
        "stop_server",
        'exit "$status"',
    ]
    return "\n".join(steps) + "\n"


# The port's state is read from the kernel, not tried: a connection would be one more client for the server.
# 0A is TCP_LISTEN, Linux include/net/tcp_states.h; the table is in Documentation/networking/proc_net_tcp.rst.
# usbfs files appear with the device, and the kernel configures it last; 1d6b are its own root hubs.
_FUNCTIONS = f"""
listening() {{
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ':{SERVER_PORT:04X} [0-9A-F]*:0000 0A '
}}

configured_devices() {{
    found=0
    for device in /sys/bus/usb/devices/*; do
        [ -e "$device/idVendor" ] || continue
        [ "$(cat "$device/idVendor")" != 1d6b ] || continue
        [ -n "$(cat "$device/bConfigurationValue")" ] || continue
        found=$((found + 1))
    done
    echo "$found"
}}

wait_until_ready() {{
    deadline=$(($(date +%s) + {READY_DEADLINE_S}))
    until listening && [ "$(configured_devices)" -ge "$1" ]; do
        if ! kill -0 "$server" 2>/dev/null; then
            echo "the server of the virtual boards ended by itself" >&2
            return 1
        fi
        if [ "$(date +%s)" -ge "$deadline" ]; then
            echo "after {READY_DEADLINE_S} s: $(configured_devices) of $1 devices" >&2
            return 1
        fi
        sleep 0.1
    done
}}

# SIGTERM, not SIGINT: a shell without job control starts background commands with SIGINT ignored.
stop_server() {{
    deadline=$(($(date +%s) + {STOP_DEADLINE_S}))
    kill "$server" 2>/dev/null
    while kill -0 "$server" 2>/dev/null; do
        if [ "$(date +%s)" -ge "$deadline" ]; then
            echo "the server of the virtual boards did not stop in {STOP_DEADLINE_S} s" >&2
            kill -KILL "$server"
            exit {NOT_STOPPED}
        fi
        sleep 0.1
    done
}}
"""
