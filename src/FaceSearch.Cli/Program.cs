using FaceSearch.Cli;

return CommandLine.Run(args);
