/* Only for the Wine prefix of this proof, never shipped: pyserial asks for CM_MapCrToWin32Err, which Windows
   has and Wine 8 lacks. All that Wine's own cfgmgr32 hands on to setupapi is handed on here too (make_python
   writes the list). */
#include <windows.h>

__declspec(dllexport) DWORD WINAPI CM_MapCrToWin32Err(DWORD answer, DWORD otherwise)
{
    return answer == 0 ? ERROR_SUCCESS : answer == 0x0D /* CR_NO_SUCH_DEVNODE */ ? ERROR_NOT_FOUND : otherwise;
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved) { return TRUE; }
