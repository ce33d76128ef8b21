/* Stands in for the updater: writes its arguments, one per line and as the C run time splits them, into the
 * file arguments.txt beside itself. A link has no line break in it that survives, so lines are enough. */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

int wmain(int argc, wchar_t **argv)
{
    wchar_t path[MAX_PATH], part[MAX_PATH];
    GetModuleFileNameW(NULL, path, MAX_PATH);
    wcscpy(wcsrchr(path, L'\\') + 1, L"arguments.txt");
    wcscpy(part, path);
    wcscat(part, L".part");
    FILE *file = _wfopen(part, L"w, ccs=UTF-8");
    for (int at = 1; at < argc; at++)
        fwprintf(file, L"%ls\n", argv[at]);
    fclose(file);
    MoveFileExW(part, path, MOVEFILE_REPLACE_EXISTING);
    return 0;
}
