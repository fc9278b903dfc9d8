using System.Numerics;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// Draws one generated photograph: every pixel is mapped into the coordinates of the face and shaded through implicit
/// shapes with edges one pixel soft. Own rasteriser with + - × ÷ √ only: the same bytes on every machine.
/// </summary>
sealed class SynthPainter(SynthPerson who, SynthShot shot, int size, int margin)
{
    readonly int side = size + 2 * margin;
    /// Softness of an edge: one pixel of the input.
    readonly float sharp = size / 2f;

    /// <summary>[side, side, 3] bytes.</summary>
    public byte[] Paint(int seed, long image)
    {
        var canvas = new Vector3[side * side];
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++)
                canvas[y * side + x] = Pixel((x + 0.5f - side / 2f) / sharp, (y + 0.5f - side / 2f) / sharp);
        for (float blur = shot.Blur; blur > 0.02f; blur -= 1) Smooth(canvas, Math.Min(blur, 1) / 4);
        return Develop(canvas, seed, image);
    }

    Vector3 Pixel(float x, float y)
    {
        var colour = Background(x, y);
        float cx = x - shot.ShiftX, cy = y - shot.ShiftY;
        float u = (cx * shot.Cos + cy * shot.Sin) / shot.Scale, v = (cy * shot.Cos - cx * shot.Sin) / shot.Scale;
        // A turned head: the far side is foreshortened; whatever lies further forward moves further.
        u *= 1 + 0.16f * shot.Yaw * u;
        colour = Head(colour, u, v);
        return shot.Occluder.Z > 0 ? Over(colour, shot.OccluderColour, Ellipse(x - shot.Occluder.X, y - shot.Occluder.Y, shot.Occluder.Z, shot.Occluder.W)) : colour;
    }

    Vector3 Background(float x, float y)
    {
        float wave = x * shot.StripeX + y * shot.StripeY;
        wave -= MathF.Floor(wave);
        var colour = SynthPerson.Mix(shot.Back, shot.BackEnd, 0.5f + 0.25f * y + 0.35f * (MathF.Abs(2 * wave - 1) - 0.5f));
        return Over(colour, shot.Cloth, Edge(1.15f + 0.3f * x * x - y));
    }

    Vector3 Head(Vector3 colour, float u, float v)
    {
        float middle = (who.Chin + who.Top) / 2, half = (who.Chin - who.Top) / 2;
        float rise = (v - middle) / half, low = Math.Max(0, rise);
        float width = who.Width * (1 - who.Jaw * low * low);
        float hairWidth = who.Width * who.HairWidth;
        bool below = v > middle;
        float hair = Ellipse(u, v - middle, hairWidth, half * 1.1f);
        if (below) hair = Math.Max(hair, Edge(MathF.Abs(u) - hairWidth)) * Edge(v - who.HairLength - shot.LongHair);
        var strand = who.Hair * (0.85f + 0.5f * Math.Max(0, shot.LightZ - 0.3f * v - 0.4f * u * shot.LightX));
        colour = Over(colour, strand, hair);
        float light = Light(u / width, rise, 1);
        colour = Over(colour, who.Skin * (0.9f * light), Ellipse(MathF.Abs(u) - who.Width, v - 0.12f, 0.1f, 0.2f));
        float face = Ellipse(u / width * who.Width, v - middle, who.Width, half);
        if (face <= 0) return colour;
        colour = Over(colour, Face(u, v, light), face);
        float away = u - who.Parting - 0.1f * shot.Yaw;
        float line = who.Hairline + shot.Fringe + who.HairSide * away * away - 0.12f * shot.Pitch;
        colour = Over(colour, strand, face * Edge(v - line));
        return shot.Hat ? Over(colour, shot.HatColour * light, Edge(v + 0.5f) * Edge(MathF.Abs(u) - hairWidth)) : colour;
    }

    float Light(float nx, float ny, float gloss)
    {
        (nx, ny) = (0.85f * nx, 0.6f * ny);
        float nz = MathF.Sqrt(Math.Max(0.05f, 1 - nx * nx - ny * ny));
        float direct = Math.Max(0, nx * shot.LightX + ny * shot.LightY + nz * shot.LightZ);
        return shot.Ambient + (1.1f - shot.Ambient) * direct * gloss;
    }

    Vector3 Face(float u, float v, float light)
    {
        var skin = who.Skin;
        if (who.Beard > 0) skin = SynthPerson.Mix(skin, who.Hair, who.Beard * shot.Stubble * Edge((0.42f - v + 0.5f * (0.5f - MathF.Abs(u))) * 0.25f));
        float cheek = who.Cheek * 0.12f * Soft(MathF.Abs(u) - 0.42f, v - 0.3f, 0.25f);
        skin = skin * light + new Vector3(cheek, -0.2f * cheek, -0.2f * cheek);
        if (who.MoleSize > 0) skin = Over(skin, skin * 0.35f, Ellipse(u - who.MoleX - 0.1f * shot.Yaw, v - who.MoleY, who.MoleSize, who.MoleSize));
        skin = Nose(skin, u - 0.17f * shot.Yaw, v - 0.1f * shot.Pitch);
        skin = Mouth(skin, u - 0.11f * shot.Yaw, v - 0.08f * shot.Pitch, light);
        return Eyes(skin, u - 0.09f * shot.Yaw, v - 0.05f * shot.Pitch, light);
    }

    Vector3 Nose(Vector3 skin, float u, float v)
    {
        float tip = who.EyeY + who.NoseLength;
        if (v < who.EyeY - 0.1f || v > tip + 0.2f || MathF.Abs(u) > 0.4f) return skin;
        float along = Math.Clamp((v - who.EyeY) / who.NoseLength, 0, 1), width = who.NoseWidth * (0.35f + 0.65f * along * along);
        float ridge = Math.Max(0, 1 - MathF.Abs(u) / (2 * width)) * who.NoseBridge * Edge(v - tip - 0.04f);
        skin *= 1 + 0.22f * ridge - 0.3f * ridge * Math.Clamp(u * shot.LightX * -9, 0, 1);
        skin = Over(skin, skin * 0.72f, 0.8f * Ellipse(MathF.Abs(u) - who.NoseWidth, v - tip, 0.035f, 0.06f));
        return Over(skin, skin * 0.35f, Ellipse(MathF.Abs(u) - 0.55f * who.NoseWidth, v - tip - 0.045f + 0.03f * shot.Pitch, 0.4f * who.NoseWidth, 0.028f));
    }

    Vector3 Mouth(Vector3 skin, float u, float v, float light)
    {
        float width = who.MouthWidth * (1 + 0.18f * shot.Smile);
        v -= who.MouthY - (who.MouthCurve + 0.9f * shot.Smile) * (u * u - 0.03f);
        if (MathF.Abs(u) > width + 0.05f || MathF.Abs(v) > 0.4f) return skin;
        float open = 0.11f * shot.Open, upper = who.LipUpper, lower = who.LipLower + 2 * open;
        skin = Over(skin, who.Lips * light, v < 0 ? Ellipse(u, v, width, upper) : Ellipse(u, v, width, lower));
        var inside = v < open * 0.7f ? new Vector3(0.88f, 0.86f, 0.82f) * light : new Vector3(0.25f, 0.08f, 0.08f) * light;
        if (open > 0) return Over(skin, inside, Ellipse(u, v - open * 0.6f, width * 0.8f, open));
        return Over(skin, skin * 0.45f, Ellipse(u, v, width * 0.95f, 0.016f));
    }

    Vector3 Eyes(Vector3 skin, float u, float v, float light)
    {
        if (v < who.EyeY - 0.6f || v > who.EyeY + 0.3f) return skin;
        float out_ = MathF.Abs(u) - who.EyeX, down = v - who.EyeY + who.EyeSlant * out_;
        skin *= 1 - 0.22f * Soft(out_, down + 0.02f, 0.26f);
        float white = Ellipse(out_, down, who.EyeWidth, who.EyeHeight * shot.EyeOpen);
        float gaze = out_ - (u < 0 ? -shot.GazeX : shot.GazeX);
        var eye = Over(new Vector3(0.9f, 0.88f, 0.86f) * (0.35f + 0.6f * light), who.Iris * (0.4f + 0.6f * light), Ellipse(gaze, down, who.IrisSize, who.IrisSize));
        eye = Over(eye, new(0.02f, 0.02f, 0.02f), Ellipse(gaze, down, who.IrisSize * 0.45f, who.IrisSize * 0.45f));
        skin = Over(skin, skin * 0.3f, 0.8f * Ellipse(out_, down + 0.012f, who.EyeWidth * 1.1f, who.EyeHeight * shot.EyeOpen + 0.018f));
        skin = Over(skin, eye, white);
        float brow = v - who.EyeY + who.BrowLift + shot.BrowUp + who.BrowSlant * out_ + who.BrowArch * out_ * out_;
        skin = Over(skin, who.Hair * (0.45f + 0.35f * light), 0.9f * Ellipse(out_, brow, who.BrowWidth, who.BrowThick));
        return shot.Glasses ? Spectacles(skin, out_, down) : skin;
    }

    Vector3 Spectacles(Vector3 skin, float u, float v)
    {
        float lens = Ellipse(u, v, 0.27f, 0.2f);
        var frame = new Vector3(0.1f, 0.09f, 0.09f);
        if (shot.Dark) return Over(skin, frame, lens);
        float bridge = Edge(MathF.Abs(v + 0.03f) - 0.02f) * (1 - lens) * Edge(u - 0.5f);
        return Over(Over(skin, frame, lens - Ellipse(u, v, 0.23f, 0.16f)), frame, bridge);
    }

    float Edge(float distance) => Math.Clamp(0.5f - distance * sharp, 0, 1);

    float Ellipse(float x, float y, float a, float b)
    {
        float p = x / a, q = y / b;
        return Edge((MathF.Sqrt(p * p + q * q) - 1) * Math.Min(a, b));
    }

    static float Soft(float x, float y, float radius)
    {
        float inside = Math.Max(0, 1 - (x * x + y * y) / (radius * radius));
        return inside * inside;
    }

    static Vector3 Over(Vector3 below, Vector3 above, float alpha) => alpha <= 0 ? below : below + (above - below) * alpha;

    /// Binomial blur, rows then columns; weight 1/4 is the full (1 2 1) filter.
    void Smooth(Vector3[] canvas, float weight)
    {
        var line = new Vector3[side];
        for (int step = side; step >= 1; step = step == 1 ? 0 : 1)
            for (int k = 0; k < side; k++)
            {
                int start = step == 1 ? k * side : k;
                for (int i = 0; i < side; i++) line[i] = canvas[start + i * step];
                for (int i = 0; i < side; i++)
                    canvas[start + i * step] = line[i] * (1 - 2 * weight) + (line[Math.Max(i - 1, 0)] + line[Math.Min(i + 1, side - 1)]) * weight;
            }
    }

    byte[] Develop(Vector3[] canvas, int seed, long image)
    {
        var bytes = new byte[canvas.Length * 3];
        var grey = new Vector3(0.45f);
        for (int i = 0; i < canvas.Length; i++)
        {
            ulong bits = Noise.Bits((ulong)seed, Purpose.Pixel.Of(image), (ulong)i);
            var grain = new Vector3(Grain(bits), Grain(bits >> 20), Grain(bits >> 40)) * shot.Grain;
            var pixel = shot.Grey ? new Vector3(canvas[i].X * 0.3f + canvas[i].Y * 0.59f + canvas[i].Z * 0.11f) : canvas[i];
            var value = ((pixel * shot.Cast - grey) * shot.Contrast + grey + grain) * 255;
            bytes[3 * i] = (byte)Math.Clamp(value.X + 0.5f, 0, 255);
            bytes[3 * i + 1] = (byte)Math.Clamp(value.Y + 0.5f, 0, 255);
            bytes[3 * i + 2] = (byte)Math.Clamp(value.Z + 0.5f, 0, 255);
        }
        return bytes;
    }

    /// Triangular with standard deviation 1 from 20 bits.
    static float Grain(ulong bits) => ((float)(bits & 1023) + (bits >> 10 & 1023) - 1023) * (2.449f / 1023);
}
