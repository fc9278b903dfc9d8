using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace FaceSearch.Cli;

/// <summary>Help that ends with commands to try.</summary>
static class Examples
{
    sealed class HelpWithExamples(HelpAction help, Command command, string[] examples) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult result)
        {
            int code = help.Invoke(result);
            if (result.CommandResult.Command != command) return code;
            var output = result.InvocationConfiguration.Output;
            output.WriteLine("Examples:");
            foreach (var example in examples) output.WriteLine($"  {example}");
            output.WriteLine();
            return code;
        }
    }

    public static T WithExamples<T>(this T command, params string[] examples) where T : Command
    {
        // Subcommands inherit the root's recursive help option; one of their own comes first.
        var option = command.Options.OfType<HelpOption>().FirstOrDefault();
        if (option is null) command.Options.Add(option = new HelpOption());
        option.Description = "Show this help";
        option.Action = new HelpWithExamples((HelpAction)option.Action!, command, examples);
        return command;
    }

    /// <summary>The words that lead to a command: `facesearch study list`.</summary>
    public static string Path(this Command command) =>
        command.Parents.OfType<Command>().FirstOrDefault() is { } parent ? $"{parent.Path()} {command.Name}" : Repeat.Program;
}
