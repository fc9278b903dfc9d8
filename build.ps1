# The verbs of build.sh for PowerShell: ./build.ps1 search | test | build | run <arguments> | perf <case>|all | lines
param([Parameter(Position = 0)][string]$Verb = 'help', [Parameter(ValueFromRemainingArguments)][string[]]$Rest = @())
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot

function Show-Usage {
    @'
./build.ps1 search [options]   the main job on generated faces (or on yours: --set Data.Folder=DIR); options as in 'facesearch search --help'
./build.ps1 test [options]     everything needed, then all tests; last line: N passed, N failed, N skipped
./build.ps1 build              restore and build, warnings are errors
./build.ps1 run <arguments>    any facesearch command, for example: ./build.ps1 run doctor
./build.ps1 perf <case>        measurements; ./build.ps1 perf --list names them
./build.ps1 lines              size of the code, folder by folder
'@
}

function Stop-With([string]$Message, [int]$Code) {
    [Console]::Error.WriteLine($Message)
    exit $Code
}

function Assert-Sdk {
    if (-not (Get-Command dotnet -ErrorAction SilentlyContinue) -or -not ((dotnet --list-sdks) -match '^10\.')) {
        Stop-With 'FaceSearch needs the .NET SDK 10: install it (https://dotnet.microsoft.com/download) and run this command again.' 1
    }
    $env:DOTNET_CLI_TELEMETRY_OPTOUT = $env:DOTNET_NOLOGO = $env:MSBUILDDISABLENODEREUSE = '1'
}

# Builds one project quietly; on an error shows what the compiler said.
function Build([string]$Project) {
    $log = dotnet build -c Release -v quiet --nologo $Project 2>&1
    if ($LASTEXITCODE -ne 0) { $log | Out-Host; exit 1 }
}

switch ($Verb) {
    { $_ -in 'search', 'run' } {
        Assert-Sdk
        Build 'src/FaceSearch.Cli/FaceSearch.Cli.csproj'
        $arguments = if ($Verb -eq 'run') { $Rest } else { @('search') + $Rest }
        $env:FACESEARCH_CALLED_AS = './build.ps1 run'
        dotnet src/FaceSearch.Cli/bin/Release/net10.0/facesearch.dll @arguments
        exit $LASTEXITCODE
    }
    'test' {
        Assert-Sdk
        Build 'tests/FaceSearch.Tests/FaceSearch.Tests.csproj'
        dotnet tests/FaceSearch.Tests/bin/Release/net10.0/FaceSearch.Tests.dll -noColor @Rest | Tee-Object -Variable all | Out-Host
        $status = $LASTEXITCODE
        # xunit's summary: Total: 9, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0
        $summary = $all | Select-String 'Total: (\d+), Errors: (\d+), Failed: (\d+), Skipped: (\d+)' | Select-Object -Last 1
        if (-not $summary -or $summary.Matches[0].Groups[1].Value -eq '0') { Stop-With 'no test ran' 1 }
        $total, $errors, $failed, $skipped = $summary.Matches[0].Groups[1..4].Value | ForEach-Object { [int]$_ }
        "$($total - $failed - $skipped) passed, $($failed + $errors) failed, $skipped skipped"
        exit [int]($status -ne 0 -or $failed + $errors -gt 0)
    }
    'build' { Assert-Sdk; dotnet build -c Release --nologo FaceSearch.sln; exit $LASTEXITCODE }
    'perf' {
        Assert-Sdk
        Build 'perf/FaceSearch.Perf/FaceSearch.Perf.csproj'
        dotnet perf/FaceSearch.Perf/bin/Release/net10.0/FaceSearch.Perf.dll @Rest
        exit $LASTEXITCODE
    }
    'lines' {
        git ls-files '*.cs' | Group-Object { ($_ -split '/')[0..1] -join '/' } | Sort-Object Name | ForEach-Object {
            "$($_.Name) $($_.Count) files $(@(Get-Content -LiteralPath $_.Group).Count) lines"
        }
    }
    { $_ -in 'help', '--help', '-h' } { Show-Usage }
    default {
        Show-Usage | ForEach-Object { [Console]::Error.WriteLine($_) }
        Stop-With "unknown command '$Verb'" 2
    }
}
