/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Plots, see plot.h. Everything is drawn at twice the size and averaged, which is all the anti-aliasing there is. Lengths are in pixels
 * of the drawing.
 */
#include <math.h>
#include <string.h>

#include "font.h"
#include "plot.h"
#include "rd_clip.h"

enum {
    SCALE = 2,
    WIDTH = 960 * SCALE,
    HEIGHT = 600 * SCALE, /* of a panel */
    LEFT = 70 * SCALE,
    EDGE = 20 * SCALE,
    SAMPLE = 30 * SCALE, /* a curve in the legend */
    MAX_NAME = 24,       /* letters of a name there */
    MAX_TEXT = 120,
    TOP = 44 * SCALE,
    BOTTOM = 56 * SCALE,
    DOT = 2 * SCALE, /* of a letter */
    LETTER = (FONT_WIDTH + 1) * DOT,
    LINE = (FONT_HEIGHT + 4) * DOT,
    MARKER = 5 * SCALE, /* half a marker */
};

#define BLACK 0x202020u
#define GREY  0xdcdcdcu

/* Told apart by most with a weakness in colours too; the markers help. */
static const uint32_t colours[] = { 0xd62728, 0x1f77b4, 0x2ca02c, 0x9467bd,
                                    0xe08214, 0x17a2b8, 0x7f4f24, 0xe377c2 };

typedef struct {
    uint8_t *rgb;
    int height, top;       /* of all panels; where the one begins that is drawn */
    int right;             /* where the axes end */
    double x0, x1, y0, y1; /* range of log10(bpp) and of the other axis */
} Canvas;

static void set(Canvas *c, int x, int y, uint32_t colour)
{
    y += c->top;
    if (x < 0 || x >= WIDTH || y < 0 || y >= c->height)
        return;
    uint8_t *p = c->rgb + ((size_t)y * WIDTH + (size_t)x) * 3;
    p[0] = (uint8_t)(colour >> 16);
    p[1] = (uint8_t)(colour >> 8);
    p[2] = (uint8_t)colour;
}

static void fill(Canvas *c, int x, int y, int w, int h, uint32_t colour)
{
    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++)
            set(c, x + i, y + j, colour);
}

static void line(Canvas *c, double x0, double y0, double x1, double y1, int thickness, uint32_t colour)
{
    const int n = 1 + (int)MAX(fabs(x1 - x0), fabs(y1 - y0));
    for (int i = 0; i <= n; i++)
        fill(c, (int)lround(x0 + (x1 - x0) * i / n) - thickness / 2,
             (int)lround(y0 + (y1 - y0) * i / n) - thickness / 2, thickness, thickness, colour);
}

/* Whether a byte of UTF-8 begins a character; text that was cut elsewhere does no harm. */
static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static int text_width(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += begins_character(*text);
    return n * LETTER - DOT;
}

/* At most `most` letters; those that are not ASCII are question marks. */
static void letters(Canvas *c, int x, int y, const char *text, int most, uint32_t colour)
{
    for (; *text && most > 0; text++) {
        if (!begins_character(*text))
            continue;
        const uint8_t *glyph = font_glyph(*text);
        for (int row = 0; row < FONT_HEIGHT; row++)
            for (int i = 0; i < FONT_WIDTH; i++)
                if (glyph[row] >> (FONT_WIDTH - 1 - i) & 1)
                    fill(c, x + i * DOT, y + row * DOT, DOT, DOT, colour);
        x += LETTER;
        most--;
    }
}

/* --- the axes --- */

static double to_x(const Canvas *c, double bpp)
{
    return LEFT + (log10(bpp) - c->x0) / (c->x1 - c->x0) * (c->right - LEFT);
}

static double to_y(const Canvas *c, double db)
{
    return HEIGHT - BOTTOM - (db - c->y0) / (c->y1 - c->y0) * (HEIGHT - TOP - BOTTOM);
}

static bool is_drawn(const PlotCurve *curve, uint32_t i)
{
    return isfinite(curve->x[i]) && curve->x[i] > 0 && isfinite(curve->y[i]);
}

/* The range of the points with some room round them; false if there is none. */
static bool set_range(Canvas *c, const PlotPanel *panel)
{
    c->x0 = c->y0 = INFINITY;
    c->x1 = c->y1 = -INFINITY;
    for (uint32_t k = 0; k < panel->n_curves; k++)
        for (uint32_t i = 0; i < panel->curves[k].n; i++)
            if (is_drawn(&panel->curves[k], i)) {
                const double x = log10(panel->curves[k].x[i]), y = panel->curves[k].y[i];
                c->x0 = MIN(c->x0, x);
                c->x1 = MAX(c->x1, x);
                c->y0 = MIN(c->y0, y);
                c->y1 = MAX(c->y1, y);
            }
    if (!(c->x0 <= c->x1))
        return false;
    const double room_x = MAX(0.05, 0.06 * (c->x1 - c->x0)), room_y = MAX(0.25, 0.06 * (c->y1 - c->y0));
    c->x0 -= room_x;
    c->x1 += room_x;
    c->y0 -= room_y;
    c->y1 += room_y;
    return true;
}

static void x_tick(Canvas *c, double bpp)
{
    char text[32];
    const int x = (int)to_x(c, bpp);
    g_ascii_formatd(text, sizeof text, "%.3g", bpp);
    line(c, x, TOP, x, HEIGHT - BOTTOM, SCALE, GREY);
    letters(c, x - text_width(text) / 2, HEIGHT - BOTTOM + 4 * DOT, text, MAX_TEXT, BLACK);
}

static void draw_axes(Canvas *c, const PlotPanel *panel)
{
    static const double wide[] = { 1, 2, 5 }, narrow[] = { 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9 };
    /* A range of less than a factor of eight has room for more numbers. */
    const bool few = c->x1 - c->x0 > 0.9;
    const double *ticks = few ? wide : narrow;
    const size_t n_ticks = few ? G_N_ELEMENTS(wide) : G_N_ELEMENTS(narrow);
    for (int decade = (int)floor(c->x0); decade <= (int)ceil(c->x1); decade++)
        for (size_t i = 0; i < n_ticks; i++) {
            const double bpp = ticks[i] * pow(10, decade);
            if (log10(bpp) >= c->x0 && log10(bpp) <= c->x1)
                x_tick(c, bpp);
        }
    const double steps[] = { 0.1, 0.2, 0.5, 1, 2, 5, 10, 20 };
    size_t s = 0;
    while (s + 1 < G_N_ELEMENTS(steps) && (c->y1 - c->y0) / steps[s] > 12)
        s++;
    for (double i = ceil(c->y0 / steps[s]); i * steps[s] <= c->y1; i++) {
        char text[32];
        const int y = (int)to_y(c, i * steps[s]);
        g_ascii_formatd(text, sizeof text, steps[s] < 1 ? "%.1f" : "%.0f", i * steps[s]);
        line(c, LEFT, y, c->right, y, SCALE, GREY);
        letters(c, LEFT - 4 * DOT - text_width(text), y - FONT_HEIGHT * DOT / 2, text, MAX_TEXT, BLACK);
    }
    line(c, LEFT, TOP, LEFT, HEIGHT - BOTTOM, SCALE, BLACK);
    line(c, LEFT, HEIGHT - BOTTOM, c->right, HEIGHT - BOTTOM, SCALE, BLACK);
    letters(c, LEFT, TOP - LINE - 2 * DOT, panel->y_title ? panel->y_title : "RGB PSNR, dB", MAX_TEXT, BLACK);
    letters(c, WIDTH - EDGE - text_width(panel->title), TOP - LINE - 2 * DOT, panel->title, MAX_TEXT, BLACK);
    const char *below = panel->x_title ? panel->x_title : "bits per pixel, of the file's bytes";
    letters(c, (c->right + LEFT - text_width(below)) / 2, HEIGHT - BOTTOM + 4 * DOT + LINE, below, MAX_TEXT,
            BLACK);
}

/* --- the curves --- */

/* Whether a dot of the marker's square is in it; x and y from -1 to 1. */
static bool in_marker(uint32_t kind, double x, double y)
{
    switch (kind % 6) {
    case 0:
        return x * x + y * y <= 1;
    case 1:
        return fabs(x) <= 0.85 && fabs(y) <= 0.85;
    case 2:
        return fabs(x) <= (y + 1) / 2;
    case 3:
        return fabs(x) + fabs(y) <= 1;
    case 4:
        return fabs(x) <= (1 - y) / 2;
    default:
        return fabs(fabs(x) - fabs(y)) <= 0.35;
    }
}

static void marker(Canvas *c, uint32_t kind, int x, int y, uint32_t colour)
{
    for (int j = -MARKER; j <= MARKER; j++)
        for (int i = -MARKER; i <= MARKER; i++)
            if (in_marker(kind, (double)i / MARKER, (double)j / MARKER))
                set(c, x + i, y + j, colour);
}

static void draw_curve(Canvas *c, const PlotCurve *curve, uint32_t k)
{
    const uint32_t colour = colours[k % G_N_ELEMENTS(colours)];
    double x = 0, y = 0;
    bool has_last = false;
    for (uint32_t i = 0; i < curve->n; i++) {
        if (!is_drawn(curve, i))
            continue;
        const double x1 = to_x(c, curve->x[i]), y1 = to_y(c, curve->y[i]);
        if (has_last)
            line(c, x, y, x1, y1, 2 * SCALE, colour);
        marker(c, k, (int)x1, (int)y1, colour);
        x = x1;
        y = y1;
        has_last = true;
    }
}

/* In a column of its own, where no curve can be. */
static void draw_legend(Canvas *c, const PlotPanel *panel)
{
    int width = 0;
    for (uint32_t k = 0; k < panel->n_curves; k++)
        width = MAX(width, MIN(MAX_NAME * LETTER, text_width(panel->curves[k].name)));
    const int x = WIDTH - EDGE - width;
    c->right = x - SAMPLE - 10 * DOT;
    for (uint32_t k = 0; k < panel->n_curves; k++) {
        const int row = TOP + (int)k * LINE, middle = row + FONT_HEIGHT * DOT / 2;
        const uint32_t colour = colours[k % G_N_ELEMENTS(colours)];
        line(c, x - SAMPLE - 3 * DOT, middle, x - 3 * DOT, middle, 2 * SCALE, colour);
        marker(c, k, x - 3 * DOT - SAMPLE / 2, middle, colour);
        letters(c, x, row, panel->curves[k].name, MAX_NAME, BLACK);
    }
}

/* Averages squares of SCALE x SCALE; GStreamer's rows of RGB are padded to four bytes, which this width needs not be. */
static GstBuffer *shrink(const Canvas *c)
{
    const int w = WIDTH / SCALE, h = c->height / SCALE;
    uint8_t *out = g_malloc((size_t)w * (size_t)h * 3);
    for (int y = 0; y < h; y++)
        for (int i = 0; i < w * 3; i++) {
            uint32_t sum = 0;
            for (int k = 0; k < SCALE * SCALE; k++)
                sum +=
                    c->rgb[((size_t)(y * SCALE + k / SCALE) * WIDTH + (size_t)(i / 3 * SCALE + k % SCALE)) *
                               3 +
                           i % 3];
            out[(size_t)y * (size_t)w * 3 + (size_t)i] =
                (uint8_t)((sum + SCALE * SCALE / 2) / (SCALE * SCALE));
        }
    GstBuffer *buffer = gst_buffer_new_wrapped(out, (gsize)w * (gsize)h * 3);
    GST_BUFFER_PTS(buffer) = 0;
    return buffer;
}

bool plot_write(const char *path, const PlotPanel *panels, uint32_t n_panels, GError **error)
{
    Canvas c = { .height = HEIGHT * (int)n_panels };
    const size_t bytes = (size_t)WIDTH * (size_t)c.height * 3;
    c.rgb = g_malloc(bytes);
    memset(c.rgb, 0xff, bytes);
    for (uint32_t i = 0; i < n_panels; i++, c.top += HEIGHT) {
        if (!set_range(&c, &panels[i])) {
            letters(&c, LEFT, TOP, "no point that is finite", MAX_TEXT, BLACK);
            continue;
        }
        draw_legend(&c, &panels[i]);
        draw_axes(&c, &panels[i]);
        for (uint32_t k = 0; k < panels[i].n_curves; k++)
            draw_curve(&c, &panels[i].curves[k], k);
    }
    GstBuffer *buffer = shrink(&c);
    g_autoptr(GstCaps) caps = gst_caps_new_simple(
        "video/x-raw", "format", G_TYPE_STRING, "RGB", "width", G_TYPE_INT, WIDTH / SCALE, "height",
        G_TYPE_INT, c.height / SCALE, "framerate", GST_TYPE_FRACTION, 1, 1, NULL);
    g_autofree char *escaped = g_strescape(path, NULL);
    g_autofree char *line_text =
        g_strdup_printf("pngenc compression-level=9 ! filesink location=\"%s\"", escaped);
    const bool ok = rd_feed(line_text, caps, &buffer, 1, error);
    gst_buffer_unref(buffer);
    g_free(c.rgb);
    return ok;
}
