namespace FaceSearch.Search;

/// <summary>What happened to a trial.</summary>
public enum StudyEventKind { Started, Rung, Finished }

/// <summary>One step of a running study, for a live table.</summary>
/// <param name="Trial">The trial as it stands now; number −1 is the baseline.</param>
/// <param name="Design">Its decisions in words.</param>
/// <param name="Done">Finished trials, the baseline not counted.</param>
/// <param name="Total">Trials of the study.</param>
/// <param name="Best">The complete trial of highest reward, if there is one.</param>
/// <param name="Remaining">Estimated time to the end; null while nothing is finished.</param>
/// <param name="ImagesPerSecond">Of this trial, verification included; 0 where unknown.</param>
public sealed record StudyEvent(
    StudyEventKind Kind, Trial Trial, string Design, int Done, int Total, Trial? Best, TimeSpan? Remaining, double ImagesPerSecond);
