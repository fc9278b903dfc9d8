using System.Numerics;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// What makes a generated identity. Lengths are in half sides of the input window, centre 0, y down; eyes and mouth
/// lie about where the usual 112 × 112 alignment puts them (eyes at ±0.32, -0.08; mouth at 0.65).
/// </summary>
sealed class SynthPerson
{
    public readonly Vector3 Skin, Hair, Iris, Lips;
    public readonly float Width, Jaw, Chin, Top, EyeX, EyeY, EyeWidth, EyeHeight, EyeSlant, IrisSize;
    public readonly float BrowLift, BrowWidth, BrowThick, BrowSlant, BrowArch;
    public readonly float NoseLength, NoseWidth, NoseBridge, MouthY, MouthWidth, LipUpper, LipLower, MouthCurve;
    public readonly float Hairline, HairSide, HairWidth, HairLength, Parting, Beard, MoleX, MoleY, MoleSize, Cheek;
    public readonly bool WearsGlasses;

    public SynthPerson(int seed, int identity)
    {
        var d = new Draws(seed, Purpose.Person.Of(identity));
        float tone = d.Between(0, 1), warm = d.Around(0.03f);
        Skin = Vector3.Max(Vector3.Zero, Mix(new(0.93f, 0.76f, 0.66f), new(0.42f, 0.27f, 0.19f), tone * tone) + new Vector3(warm, 0, -warm));
        Hair = HairColour(ref d);
        Iris = Mix(new(0.20f, 0.12f, 0.07f), d.Chance(0.5f) ? new(0.35f, 0.5f, 0.65f) : new(0.35f, 0.45f, 0.25f), d.Between(0, 1) * (1 - tone));
        Lips = Mix(Skin, new(0.70f, 0.25f, 0.27f), d.Between(0.25f, 0.6f));
        Width = 0.78f + d.Around(0.13f);
        Jaw = 0.30f + d.Around(0.24f);
        Chin = 1.05f + d.Around(0.14f);
        Top = -1.05f + d.Around(0.14f);
        (EyeX, EyeY) = (0.33f + d.Around(0.06f), -0.08f + d.Around(0.06f));
        (EyeWidth, EyeHeight) = (0.145f + d.Around(0.045f), 0.07f + d.Around(0.032f));
        (EyeSlant, IrisSize) = (d.Around(0.28f), 0.072f + d.Around(0.016f));
        (BrowLift, BrowWidth) = (0.20f + d.Around(0.07f), 0.19f + d.Around(0.06f));
        (BrowThick, BrowSlant, BrowArch) = (0.036f + d.Around(0.022f), d.Around(0.3f), 1.2f + d.Around(1.6f));
        (NoseLength, NoseWidth, NoseBridge) = (0.36f + d.Around(0.10f), 0.13f + d.Around(0.06f), d.Between(0.2f, 1));
        (MouthY, MouthWidth) = (0.63f + d.Around(0.08f), 0.27f + d.Around(0.09f));
        (LipUpper, LipLower, MouthCurve) = (0.045f + d.Around(0.03f), 0.06f + d.Around(0.04f), d.Around(0.35f));
        Hairline = -0.68f + d.Around(0.30f);
        HairSide = 0.55f + d.Around(0.5f);
        HairWidth = 1.10f + d.Around(0.13f);
        HairLength = d.Between(-0.25f, 1.3f);
        Parting = d.Around(0.35f);
        Beard = d.Chance(0.3f) ? d.Between(0.25f, 0.85f) : 0;
        (MoleX, MoleY) = (d.Around(0.55f), 0.3f + d.Around(0.6f));
        MoleSize = d.Chance(0.35f) ? d.Between(0.025f, 0.05f) : 0;
        Cheek = d.Between(0, 1);
        WearsGlasses = d.Chance(0.25f);
    }

    static Vector3 HairColour(ref Draws d)
    {
        Vector3[] palette = [new(0.07f, 0.06f, 0.06f), new(0.25f, 0.15f, 0.09f), new(0.72f, 0.56f, 0.33f), new(0.50f, 0.24f, 0.11f), new(0.62f, 0.61f, 0.60f)];
        int a = d.Below(palette.Length), b = d.Below(palette.Length);
        return Mix(palette[a], palette[b], d.Between(0, 0.5f));
    }

    public static Vector3 Mix(Vector3 a, Vector3 b, float t) => a + (b - a) * t;
}

/// <summary>What differs from photograph to photograph of a generated identity.</summary>
sealed class SynthShot
{
    public readonly float Cos, Sin, Scale, ShiftX, ShiftY, Yaw, Pitch, Smile, Open, EyeOpen, BrowUp, GazeX;
    public readonly float LightX, LightY, LightZ, Ambient, Contrast, Blur, Grain, Fringe, LongHair, Stubble;
    public readonly Vector3 Cast, Back, BackEnd, Cloth, HatColour;
    public readonly bool Glasses, Dark, Hat, Grey;
    public readonly float StripeX, StripeY;
    public readonly Vector4 Occluder;
    public readonly Vector3 OccluderColour;

    public SynthShot(int seed, SynthPerson person, long image)
    {
        var d = new Draws(seed, Purpose.Photo.Of(image));
        // A rotation by 2·atan(t), without trigonometry: its last bits differ between machines.
        float t = d.Around(0.11f);
        (Cos, Sin) = ((1 - t * t) / (1 + t * t), 2 * t / (1 + t * t));
        (Scale, ShiftX, ShiftY) = (1 + d.Around(0.15f), d.Around(0.12f), d.Around(0.12f));
        (Yaw, Pitch) = (d.Around(1), d.Around(0.8f));
        (Smile, Open) = (d.Between(-0.3f, 1), d.Chance(0.3f) ? d.Between(0.2f, 1) : 0);
        (EyeOpen, BrowUp, GazeX) = (d.Chance(0.06f) ? 0.25f : d.Between(0.7f, 1.15f), d.Around(0.06f), d.Around(0.04f));
        (LightX, LightY, LightZ) = (d.Around(1.1f), -0.3f + d.Around(0.8f), d.Between(0.35f, 1));
        float length = MathF.Sqrt(LightX * LightX + LightY * LightY + LightZ * LightZ);
        (LightX, LightY, LightZ) = (LightX / length, LightY / length, LightZ / length);
        (Ambient, Contrast) = (d.Between(0.25f, 0.75f), d.Between(0.75f, 1.2f));
        Cast = d.Between(0.72f, 1.2f) * new Vector3(1 + d.Around(0.16f), 1 + d.Around(0.06f), 1 + d.Around(0.2f));
        (Blur, Grain) = (d.Chance(0.25f) ? d.Between(0.2f, 2) : d.Between(0, 0.3f), d.Between(0.004f, 0.035f));
        (Fringe, LongHair, Stubble) = (d.Around(0.12f), d.Around(0.4f), d.Between(0.75f, 1.1f));
        (Back, BackEnd, Cloth) = (Colour(ref d), Colour(ref d), Colour(ref d));
        (StripeX, StripeY) = (d.Around(6), d.Around(6));
        Glasses = d.Chance(person.WearsGlasses ? 0.65f : 0.08f);
        (Dark, Hat, Grey) = (d.Chance(0.15f), d.Chance(0.08f), d.Chance(0.1f));
        HatColour = Colour(ref d);
        bool occluded = d.Chance(0.12f);
        Occluder = occluded ? new(d.Around(1.1f), d.Between(-1, 1), d.Between(0.15f, 0.5f), d.Between(0.12f, 0.4f)) : default;
        OccluderColour = Colour(ref d);
    }

    static Vector3 Colour(ref Draws d) => new(d.Between(0.05f, 0.95f), d.Between(0.05f, 0.95f), d.Between(0.05f, 0.95f));
}
