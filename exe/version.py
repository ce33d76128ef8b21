"""The version resource of a Windows program: what Explorer shows under Properties, Details."""

from __future__ import annotations

from updater.heads.vendor import Kind, Vendor


def version_resource(vendor: Vendor, version: str, *, file_name: str) -> str:
    """The text that PyInstaller's EXE(version=...) reads; other systems ignore it."""
    numbers = (*(int(number) for number in version.split(".")[:3]), 0)
    title = f"{vendor.name} Updater" + (" (demo)" if vendor.kind is Kind.DEMO else "")
    words = {
        "CompanyName": vendor.name,
        "FileDescription": title,
        "FileVersion": version,
        "InternalName": file_name.removesuffix(".exe"),
        "OriginalFilename": file_name,
        "ProductName": title,
        "ProductVersion": version,
    }
    table = ", ".join(f"StringStruct({key!r}, {text!r})" for key, text in words.items())
    return (
        f"VSVersionInfo(ffi=FixedFileInfo(filevers={numbers!r}, prodvers={numbers!r},\n"
        "  mask=0x3F, OS=0x40004, fileType=1),\n"  # Windows NT, a program
        # 0409, 04B0: English, Unicode
        f"  kids=[StringFileInfo([StringTable('040904B0', [{table}])]),\n"
        "        VarFileInfo([VarStruct('Translation', [0x409, 0x4B0])])])\n"
    )
