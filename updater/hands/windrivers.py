"""Windows' own records of USB devices, through SetupAPI and cfgmgr32; and installing a driver package.

Only asks; what the answers mean is `drivers`' to say. No wmic (gone from Windows 11), no PowerShell, nothing
that depends on the language of the system, and no administrator, but for `install`, which starts Windows'
own pnputil and nothing else with more rights. On other systems there are no records.

Sources: Microsoft's reference of SetupDiGetClassDevs, SetupDiGetDeviceRegistryProperty,
SetupDiOpenDevRegKey, CM_Get_DevNode_Status, ShellExecuteEx; "PnPUtil return values".
"""

from __future__ import annotations

import sys
from pathlib import Path

from updater.heads.drivers import DeviceRecord, is_winusb_package

INSTALLED, NOTHING_BETTER, NEEDS_RESTART, SAID_NO = 0, 259, 3010, 1223
"""What `install` answers: pnputil's return values, and ERROR_CANCELLED of the question for permission."""

if sys.platform == "win32":
    import ctypes
    import winreg
    from collections.abc import Iterator
    from contextlib import suppress
    from ctypes import wintypes as w

    _ALL_CLASSES, _PRESENT = 4, 2
    _SERVICE = 4
    _HAS_PROBLEM, _CR_SUCCESS = 0x400, 0
    _GLOBAL, _DEVICE_KEY, _READ = 1, 1, 0x20019
    _DRIVE_REMOTE = 4
    _KEEP_PROCESS_HANDLE, _HIDDEN, _WAIT_MS = 0x40, 0, 300_000
    _INVALID = ctypes.c_void_p(-1).value

    class _Guid(ctypes.Structure):
        _fields_ = (("a", w.DWORD), ("b", w.WORD), ("c", w.WORD), ("d", ctypes.c_ubyte * 8))

    class _DevInfo(ctypes.Structure):
        """SP_DEVINFO_DATA."""

        _fields_ = (
            ("cbSize", w.DWORD),
            ("ClassGuid", _Guid),
            ("DevInst", w.DWORD),
            ("Reserved", ctypes.c_void_p),
        )

    class _Execute(ctypes.Structure):
        """SHELLEXECUTEINFOW."""

        _fields_ = (
            ("cbSize", w.DWORD),
            ("fMask", w.ULONG),
            ("hwnd", w.HWND),
            ("lpVerb", w.LPCWSTR),
            ("lpFile", w.LPCWSTR),
            ("lpParameters", w.LPCWSTR),
            ("lpDirectory", w.LPCWSTR),
            ("nShow", ctypes.c_int),
            ("hInstApp", w.HINSTANCE),
            ("lpIDList", ctypes.c_void_p),
            ("lpClass", w.LPCWSTR),
            ("hkeyClass", w.HKEY),
            ("dwHotKey", w.DWORD),
            ("hIcon", w.HANDLE),
            ("hProcess", w.HANDLE),
        )

    def _setupapi() -> ctypes.WinDLL:
        api = ctypes.WinDLL("setupapi", use_last_error=True)
        pointer, info = ctypes.c_void_p, ctypes.POINTER(_DevInfo)
        api.SetupDiGetClassDevsW.restype = pointer
        api.SetupDiGetClassDevsW.argtypes = [pointer, w.LPCWSTR, w.HWND, w.DWORD]
        api.SetupDiEnumDeviceInfo.argtypes = [pointer, w.DWORD, info]
        api.SetupDiGetDeviceInstanceIdW.argtypes = [pointer, info, w.LPWSTR, w.DWORD, pointer]
        api.SetupDiGetDeviceRegistryPropertyW.argtypes = [
            *(pointer, info, w.DWORD, pointer, pointer, w.DWORD, pointer),
        ]
        api.SetupDiOpenDevRegKey.restype = pointer
        api.SetupDiOpenDevRegKey.argtypes = [pointer, info, w.DWORD, w.DWORD, w.DWORD, w.DWORD]
        api.SetupDiDestroyDeviceInfoList.argtypes = [pointer]
        return api

    def records() -> tuple[DeviceRecord, ...]:
        """Every USB device that Windows remembers; none when it cannot be asked."""
        try:
            here = {record.instance for record in _listed(_ALL_CLASSES | _PRESENT, present=True)}
            return tuple(
                DeviceRecord(
                    instance=one.instance,
                    present=one.instance in here,
                    service=one.service,
                    problem=one.problem if one.instance in here else 0,
                    interface_guids=one.interface_guids,
                )
                for one in _listed(_ALL_CLASSES, present=False)
            )
        except (OSError, AttributeError):
            return ()

    def _listed(flags: int, *, present: bool) -> Iterator[DeviceRecord]:
        api, configuration = _setupapi(), ctypes.WinDLL("cfgmgr32")
        devices = api.SetupDiGetClassDevsW(None, "USB", None, flags)
        if devices in (None, _INVALID):
            raise OSError(ctypes.get_last_error(), "SetupDiGetClassDevs")
        try:
            info = _DevInfo(cbSize=ctypes.sizeof(_DevInfo))
            index = 0
            while api.SetupDiEnumDeviceInfo(devices, index, ctypes.byref(info)):
                index += 1
                name = ctypes.create_unicode_buffer(512)
                api.SetupDiGetDeviceInstanceIdW(devices, ctypes.byref(info), name, 512, None)
                yield DeviceRecord(
                    instance=name.value,
                    present=present,
                    service=_service(api, devices, info),
                    problem=_problem(configuration, info),
                    interface_guids=_interface_guids(api, devices, info),
                )
        finally:
            api.SetupDiDestroyDeviceInfoList(devices)

    def _service(api: ctypes.WinDLL, devices: int, info: _DevInfo) -> str:
        text = ctypes.create_unicode_buffer(256)
        got = api.SetupDiGetDeviceRegistryPropertyW(
            devices, ctypes.byref(info), _SERVICE, None, text, ctypes.sizeof(text), None
        )
        return text.value if got else ""

    def _problem(configuration: ctypes.WinDLL, info: _DevInfo) -> int:
        status, problem = w.ULONG(), w.ULONG()
        answer = configuration.CM_Get_DevNode_Status(
            ctypes.byref(status), ctypes.byref(problem), w.DWORD(info.DevInst), w.ULONG(0)
        )
        return int(problem.value) if answer == _CR_SUCCESS and status.value & _HAS_PROBLEM else 0

    def _interface_guids(api: ctypes.WinDLL, devices: int, info: _DevInfo) -> tuple[str, ...]:
        """A driver package writes the list, some write one: Microsoft documents both names."""
        key = api.SetupDiOpenDevRegKey(devices, ctypes.byref(info), _GLOBAL, 0, _DEVICE_KEY, _READ)
        if key in (None, _INVALID):
            return ()
        try:
            for name in ("DeviceInterfaceGUIDs", "DeviceInterfaceGUID"):
                with suppress(OSError):
                    value, _kind = winreg.QueryValueEx(key, name)
                    return tuple(value) if isinstance(value, list) else (str(value),)
            return ()
        finally:
            winreg.CloseKey(key)

    def _windows() -> Path:
        """Windows' folder by Windows itself: what runs with more rights is not named by the environment."""
        text = ctypes.create_unicode_buffer(260)
        ctypes.WinDLL("kernel32").GetSystemWindowsDirectoryW(text, 260)
        return Path(text.value or r"C:\Windows")

    def is_staged(usb: str) -> bool:
        """Whether a WinUSB package for this "vid:pid" lies in Windows' INF folder (as oemNN.inf)."""
        for path in (_windows() / "INF").glob("oem*.inf"):
            with suppress(OSError):
                data = path.read_bytes()
                text = data.decode(
                    "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1", "replace"
                )
                if is_winusb_package(text, usb):
                    return True
        return False

    def install(inf: Path) -> int:
        """`pnputil /add-driver INF /install`, with Windows' own question for permission; its return value.

        Raises `OSError` when Windows cannot start it for another reason than a person's no.
        """
        shell = ctypes.WinDLL("shell32", use_last_error=True)
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.WaitForSingleObject.argtypes = [w.HANDLE, w.DWORD]
        kernel.GetExitCodeProcess.argtypes = [w.HANDLE, ctypes.POINTER(w.DWORD)]
        kernel.CloseHandle.argtypes = [w.HANDLE]
        pnputil = _windows() / "System32" / "pnputil.exe"
        asked = _Execute(
            cbSize=ctypes.sizeof(_Execute),
            fMask=_KEEP_PROCESS_HANDLE,
            lpVerb="runas",
            lpFile=str(pnputil),
            lpParameters=f'/add-driver "{inf}" /install',
            nShow=_HIDDEN,
        )
        if not shell.ShellExecuteExW(ctypes.byref(asked)):
            if ctypes.get_last_error() == SAID_NO:
                return SAID_NO
            raise OSError(ctypes.get_last_error(), "ShellExecuteEx")
        try:
            kernel.WaitForSingleObject(asked.hProcess, _WAIT_MS)
            answer = w.DWORD()
            kernel.GetExitCodeProcess(asked.hProcess, ctypes.byref(answer))
            return int(answer.value)
        finally:
            kernel.CloseHandle(asked.hProcess)

    def is_network(path: str) -> bool:
        """Whether a path's drive letter is one of a network drive."""
        return bool(ctypes.WinDLL("kernel32").GetDriveTypeW(f"{path[:2]}\\") == _DRIVE_REMOTE)

else:

    def records() -> tuple[DeviceRecord, ...]:
        """Every USB device that Windows remembers."""
        return ()

    def is_staged(usb: str) -> bool:  # noqa: ARG001 - the same on Windows
        """Whether a WinUSB package for this "vid:pid" lies in Windows' INF folder."""
        return False

    def install(inf: Path) -> int:
        """Only Windows installs drivers. Raises `OSError`."""
        raise OSError(None, f"{inf.name} is a driver for Windows")

    def is_network(path: str) -> bool:  # noqa: ARG001 - the same on Windows
        """Whether a path's drive letter is one of a network drive."""
        return False
