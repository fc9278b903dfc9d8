using System.Text.RegularExpressions;
using System.Xml.Linq;
using FaceSearch.Recognition;
using FaceSearch.Search;
using Xunit;

namespace FaceSearch.Tests.Search;

public partial class ReportTests
{
    static readonly double[] Best = [0.84, 0.85, 0.83], Baseline = [0.78, 0.79, 0.78];

    [Theory]
    [InlineData("ppo", "expected best so far")]
    [InlineData("random", "The policy is random search itself")]
    [InlineData("evolution", "no probabilities of its own")]
    public void EverySectionInItsOrder(string policy, string words)
    {
        using var study = new SyntheticStudy(policy, 60);
        study.Finish(Best, Baseline);
        var page = study.Write();
        string[] sections =
        [
            "The best design is that of trial", "Decision by decision", "Held-out figures", "Reward along the trials", "Score against cost",
            "What the policy believed", "<h2>Trials", "What mattered", "Do the parts depend on each other?",
            "The cleaning of the best design", "How to repeat it", "<h3>Settings",
        ];
        int[] places = [.. sections.Select(s => page.IndexOf(s, StringComparison.Ordinal))];
        Assert.All(places, place => Assert.True(place > 0));
        Assert.Equal(places.Order(), places);
        Assert.Contains(words, page);
        Assert.Contains("significant (paired t-test over 3 seeds, p = 0.003)", page);
        Assert.Contains("All trials, and the baseline", page);
        Assert.Contains("The first 200 of 260 entries", page);
        Assert.All(SettingsPath.All(new SearchSettings()), setting => Assert.Contains(setting.Path, page));
    }

    [Fact]
    public void NeedsNoOtherFile()
    {
        using var study = new SyntheticStudy(trials: 30);
        var page = study.Write();
        Assert.DoesNotContain("<script", page);
        Assert.DoesNotContain("src=", page);
        Assert.DoesNotContain("http", page.Replace("http://www.w3.org/", ""));
        Assert.DoesNotContain("@import", page);
    }

    [Fact]
    public void DrawingsAreWellFormedAndTheirNamesDoNotCollide()
    {
        using var study = new SyntheticStudy(trials: 60);
        study.Finish(Best, Baseline);
        var drawings = Drawing().Matches(study.Write()).Select(match => XElement.Parse(match.Value)).ToArray();
        Assert.Equal(3 + Spaces.Mini.Decisions.Length, drawings.Length);
        string[] names = [.. drawings.SelectMany(d => d.Descendants().Attributes("id")).Select(a => a.Value)];
        Assert.NotEmpty(names);
        Assert.Equal(names.Distinct().Count(), names.Length);
        foreach (var used in drawings.SelectMany(d => Use().Matches(d.ToString())).Select(match => match.Groups[1].Value)) Assert.Contains(used, names);
        Assert.All(drawings, d => Assert.Contains(d.Descendants(), e => e.Name.LocalName == "text" && e.Value.Length > 0));
    }

    [Fact]
    public void ForeignTextIsEscaped()
    {
        const string evil = "<img src=x onerror=alert(1)> & \"friends\"";
        using var study = new SyntheticStudy(trials: 12, name: evil, change: (n, trial) => n == 5 ? trial with { Message = evil, State = TrialState.Failed } : trial);
        study.Store.SetAudit([new(evil, evil, evil, 0.5)]);
        study.Store.SetNote(evil, evil);
        var page = study.Write();
        Assert.DoesNotContain("<img", page);
        Assert.Contains("&lt;img src=x onerror=alert(1)&gt; &amp; &quot;friends&quot;", page);
    }

    [Fact]
    public void SameStudySameBytes()
    {
        using var study = new SyntheticStudy(trials: 40);
        study.Finish(Best, Baseline);
        Assert.Equal(study.Write(), study.Write());
    }

    [Fact]
    public void FinalStepIsTold()
    {
        using var study = new SyntheticStudy(trials: 30);
        study.Finish(Best, Baseline);
        var second = study.Store.Trials.Where(t => t.State == TrialState.Complete).OrderByDescending(t => t.Reward).ElementAt(1);
        study.Store.SetNote("winner", $"{second.Number}");
        study.Store.SetNote("finalist.1", "0.7");
        study.Store.SetNote("finalist.2", "0.8");
        study.Store.SetNote("final.best.104", "loss is NaN at step 7");
        study.Store.SetNote("last.accuracy", "0.8765");
        var page = study.Write();
        Assert.Contains($"The best design is that of trial {second.Number}.", page);
        Assert.Contains("of the 2 designs of highest reward", page);
        Assert.Contains("final.best.104 has no figure and is in no mean: loss is NaN at step 7", page);
        Assert.Contains("<b>87.65 %</b> on the same held-out pairs", page);
        Assert.Contains("<td>moved</td><td class=\"figure\">52</td>", page);
    }

    [Fact]
    public void StudyWithoutResultsSaysSo()
    {
        using var study = new SyntheticStudy();
        var page = study.Write();
        Assert.Contains("No trial is complete, so there is no best design", page);
        Assert.Contains("the final retraining has not been run", page);
        Assert.Contains("too few trials", page);
    }

    [Fact]
    public void TrialsThatAllFailedAreShown()
    {
        using var study = new SyntheticStudy(trials: 5, change: (_, trial) => trial with { State = TrialState.Rejected, Scores = [], Reward = double.NaN, Message = "over the limit" });
        var page = study.Write();
        Assert.Equal(5, Regex.Count(page, "over the limit<"));
        Assert.Contains("No trial is complete", page);
    }

    [Fact]
    public void OneTrialIsEnoughForAReport()
    {
        using var study = new SyntheticStudy(trials: 1);
        Assert.Contains("The best design is that of trial 0", study.Write());
    }

    [Fact]
    public void LongStudiesAreShortened()
    {
        using var study = new SyntheticStudy(trials: 510);
        var page = study.Write();
        Assert.Contains("The best 100 complete trials of 510", page);
        Assert.Contains("The last 100 trials", page);
        Assert.True(page.Length < 1_500_000, $"{page.Length} characters");
    }

    [Fact]
    public void UnwritablePlaceIsNamedAndNothingIsLeft()
    {
        using var study = new SyntheticStudy(trials: 3);
        var folder = Directory.CreateDirectory(Path.Combine(study.Folder, "taken.html")).FullName;
        var error = Assert.Throws<InputException>(() => HtmlReport.Write(study.Store, folder));
        Assert.StartsWith($"the report {folder} cannot be written: ", error.Message);
        Assert.False(File.Exists(folder + ".part"));
        File.WriteAllText(Path.Combine(study.Folder, "file"), "");
        Assert.Throws<InputException>(() => HtmlReport.Write(study.Store, Path.Combine(study.Folder, "file", "report.html")));
    }

    [GeneratedRegex("<svg.*?</svg>", RegexOptions.Singleline)]
    private static partial Regex Drawing();

    [GeneratedRegex("(?:url\\(#|href=\"#)([^\")]+)")]
    private static partial Regex Use();
}
