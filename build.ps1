# The verbs of build.sh for PowerShell: ./build.ps1 search | test | build | run <arguments> | perf <case>|all
param([Parameter(Position = 0)][string]$Verb = 'help', [Parameter(ValueFromRemainingArguments)][string[]]$Rest = @())
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot

function Assert-Sdk {
    if (-not (Get-Command dotnet -ErrorAction SilentlyContinue) -or -not ((dotnet --list-sdks) -match '^(1[0-9]|[2-9][0-9])\.')) {
        Write-Error 'FaceSearch needs the .NET SDK 10 or newer: install it (https://dotnet.microsoft.com/download) and run this command again.'
    }
}

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
        $lines = dotnet tests/FaceSearch.Tests/bin/Release/net10.0/FaceSearch.Tests.dll -noColor @Rest | Tee-Object -Variable all
        $lines | Out-Host
        $summary = $all | Select-String 'Total: (\d+), Errors: (\d+), Failed: (\d+), Skipped: (\d+)' | Select-Object -Last 1
        if (-not $summary) { Write-Error 'no test ran' }
        $total, $errors, $failed, $skipped = $summary.Matches[0].Groups[1..4].Value | ForEach-Object { [int]$_ }
        "$($total - $failed - $skipped) passed, $($failed + $errors) failed, $skipped skipped"
        exit [int]($failed + $errors -gt 0)
    }
    'build' { Assert-Sdk; dotnet build -c Release --nologo FaceSearch.sln; exit $LASTEXITCODE }
    'perf' {
        Assert-Sdk
        Build 'perf/FaceSearch.Perf/FaceSearch.Perf.csproj'
        dotnet perf/FaceSearch.Perf/bin/Release/net10.0/FaceSearch.Perf.dll @Rest
        exit $LASTEXITCODE
    }
    default { 'usage: ./build.ps1 search | test | build | run <arguments> | perf <case>|all' }
}
