# Sign programs with the certificate of the environment: sign.ps1 FILE...
$ErrorActionPreference = "Stop"
$certificate = Join-Path $env:RUNNER_TEMP "signing.pfx"
$tools = Get-ChildItem "${env:ProgramFiles(x86)}\Windows Kits\10\bin\*\x64\signtool.exe"
$signtool = ($tools | Sort-Object FullName | Select-Object -Last 1).FullName
if (-not $signtool) { throw "signtool.exe is not installed" }
try {
    [IO.File]::WriteAllBytes($certificate, [Convert]::FromBase64String($env:SIGNING_CERTIFICATE))
    & $signtool sign /f $certificate /p $env:SIGNING_PASSWORD /fd sha256 /td sha256 `
        /tr http://timestamp.digicert.com $args
    if ($LASTEXITCODE) { throw "signtool failed" }
    & $signtool verify /pa /all $args
    if ($LASTEXITCODE) { throw "the signature is not good" }
} finally {
    Remove-Item -Force -ErrorAction SilentlyContinue $certificate
}
