"""What only Windows has: this account's registry and rights, and the kind of a drive."""

from __future__ import annotations

import sys
from pathlib import Path

from updater.heads.registration import Drive

if sys.platform == "win32":
    import ctypes
    import winreg

    class CurrentUser:
        """HKEY_CURRENT_USER, as `registrar.Registry` describes it. Every method raises `OSError`."""

        def value(self, key: str, name: str) -> str | None:
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, key) as opened:
                    value, _ = winreg.QueryValueEx(opened, name)
            except FileNotFoundError:
                return None
            return str(value)

        def write(self, key: str, name: str, value: str) -> None:
            with winreg.CreateKey(winreg.HKEY_CURRENT_USER, key) as opened:
                winreg.SetValueEx(opened, name, 0, winreg.REG_SZ, value)

        def remove_value(self, key: str, name: str) -> None:
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, key, 0, winreg.KEY_SET_VALUE) as opened:
                    winreg.DeleteValue(opened, name)
            except FileNotFoundError:
                return

        def remove_key_if_empty(self, key: str) -> None:
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, key) as opened:
                    keys, values, _ = winreg.QueryInfoKey(opened)
            except FileNotFoundError:
                return
            if not keys and not values:
                winreg.DeleteKey(winreg.HKEY_CURRENT_USER, key)

    # GetDriveTypeW (Microsoft, fileapi.h): 2 removable, 3 fixed, 4 remote, 5 CD-ROM, 6 RAM disk
    _KINDS = {2: Drive.REMOVABLE, 4: Drive.NETWORK, 5: Drive.REMOVABLE, 6: Drive.FLEETING}

    def drive_kind(program: Path) -> Drive:
        """The kind of the drive that this path is on; what Windows cannot say counts as fixed."""
        kind = ctypes.windll.kernel32.GetDriveTypeW(ctypes.c_wchar_p(program.anchor))
        return _KINDS.get(kind, Drive.FIXED)

    _TOKEN_QUERY, _TOKEN_ELEVATION_TYPE, _FULL = 0x0008, 18, 2

    def is_elevated() -> bool:
        """Whether this process was raised above the account's everyday rights (winnt.h, TokenElevationType).

        An account that always has all rights was not raised. What Windows cannot say counts as not raised.
        """
        advapi, kernel = ctypes.windll.advapi32, ctypes.windll.kernel32
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        token, kind, size = ctypes.c_void_p(), ctypes.c_ulong(), ctypes.c_ulong()
        process = ctypes.c_void_p(kernel.GetCurrentProcess())
        if not advapi.OpenProcessToken(process, _TOKEN_QUERY, ctypes.byref(token)):
            return False
        try:
            known = advapi.GetTokenInformation(
                token, _TOKEN_ELEVATION_TYPE, ctypes.byref(kind), ctypes.sizeof(kind), ctypes.byref(size)
            )
        finally:
            kernel.CloseHandle(token)
        return bool(known) and kind.value == _FULL
