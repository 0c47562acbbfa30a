/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * player [--video-sink=ELEMENT] FILE|URI
 *
 * Plays what GStreamer plays, neural video in any container too, and is told by keys what to do:
 *
 *     space  pause, go on          . ,    a frame on, back (paused)
 *     + -    twice, half as fast   r      the other way
 *     > <    ten seconds on, back  l      loop without a gap
 *     0..9   to so many tenths     q      quit
 *
 *     cc player.c -o player $(pkg-config --cflags --libs gstreamer-1.0)
 */
#include <glib-unix.h>
#include <gst/gst.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define JUMP     (10 * GST_SECOND)
#define FASTEST  32.
#define SLOWEST  0.125
#define KEY_ONLY 4. /* from there on only what can be shown without the rest is asked for */

typedef struct {
    GMainLoop *loop;
    GstElement *playbin;
    double rate;
    gboolean paused, loops;
    gboolean ready; /* prerolled once: seeks are possible */
    int status;
} Player;

static gint64 position_of(const Player *p)
{
    gint64 position = 0;
    gst_element_query_position(p->playbin, GST_FORMAT_TIME, &position);
    return MAX(position, 0);
}

static gint64 duration_of(const Player *p)
{
    gint64 duration = -1;
    gst_element_query_duration(p->playbin, GST_FORMAT_TIME, &duration);
    return duration;
}

static void show(const Player *p)
{
    const double at = (double)position_of(p) / GST_SECOND, all = (double)duration_of(p) / GST_SECOND;
    g_print("\r%s %8.3f / %.3f s, %gx%s   ", p->paused ? "paused " : "playing", at, all, p->rate,
            p->loops ? ", looping" : "");
}

/* Plays from there at the rate, to the end or, backwards, to the beginning. With `more` FLUSH at once, without it behind what plays. */
static void seek(Player *p, gint64 position, GstSeekFlags more)
{
    GstSeekFlags flags = GST_SEEK_FLAG_ACCURATE | more;
    const gint64 duration = duration_of(p);
    if (ABS(p->rate) >= KEY_ONLY)
        flags |= GST_SEEK_FLAG_TRICKMODE | GST_SEEK_FLAG_TRICKMODE_NO_AUDIO;
    if (p->loops)
        flags |= GST_SEEK_FLAG_SEGMENT;
    position = MAX(position, 0);
    if (duration > 0)
        position = MIN(position, duration);
    const gboolean ok = p->rate > 0
                            ? gst_element_seek(p->playbin, p->rate, GST_FORMAT_TIME, flags, GST_SEEK_TYPE_SET,
                                               position, GST_SEEK_TYPE_SET, duration > 0 ? duration : -1)
                            : gst_element_seek(p->playbin, p->rate, GST_FORMAT_TIME, flags, GST_SEEK_TYPE_SET,
                                               0, GST_SEEK_TYPE_SET, position);
    if (!ok)
        g_print("\nthis can't be sought in\n");
}

static void set_paused(Player *p, gboolean paused)
{
    p->paused = paused;
    gst_element_set_state(p->playbin, paused ? GST_STATE_PAUSED : GST_STATE_PLAYING);
}

static void set_rate(Player *p, double rate)
{
    if (ABS(rate) < SLOWEST || ABS(rate) > FASTEST)
        return;
    p->rate = rate;
    seek(p, position_of(p), GST_SEEK_FLAG_FLUSH);
}

/* Steps go the way that plays: backwards it is a seek to the frame before. */
static void step(Player *p, gboolean forward)
{
    set_paused(p, TRUE);
    if (forward == (p->rate > 0))
        gst_element_send_event(p->playbin, gst_event_new_step(GST_FORMAT_BUFFERS, 1, 1., TRUE, FALSE));
    else
        set_rate(p, -p->rate);
}

/* FALSE: quit. */
static gboolean on_key(Player *p, char key)
{
    switch (key) {
    case 'q':
        return FALSE;
    case ' ':
        set_paused(p, !p->paused);
        break;
    case '.':
    case ',':
        step(p, key == '.');
        break;
    case '+':
        set_rate(p, p->rate * 2);
        break;
    case '-':
        set_rate(p, p->rate / 2);
        break;
    case 'r':
        set_rate(p, -p->rate);
        break;
    case '>':
        seek(p, position_of(p) + (gint64)JUMP, GST_SEEK_FLAG_FLUSH);
        break;
    case '<':
        seek(p, position_of(p) - (gint64)JUMP, GST_SEEK_FLAG_FLUSH);
        break;
    case 'l':
        p->loops = !p->loops;
        seek(p, position_of(p), GST_SEEK_FLAG_FLUSH);
        break;
    default:
        if (g_ascii_isdigit(key) && duration_of(p) > 0)
            seek(p, duration_of(p) * (key - '0') / 10, GST_SEEK_FLAG_FLUSH);
    }
    return TRUE;
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer user)
{
    Player *p = user;
    char keys[16];
    const ssize_t n = read(fd, keys, sizeof(keys));
    for (ssize_t i = 0; i < n; i++)
        if (!on_key(p, keys[i])) {
            g_main_loop_quit(p->loop);
            return G_SOURCE_REMOVE;
        }
    return n > 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean on_message(GstBus *bus, GstMessage *message, gpointer user)
{
    Player *p = user;
    GError *error = NULL;
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_ERROR:
        gst_message_parse_error(message, &error, NULL);
        g_printerr("\nplayer: %s\n", error->message);
        g_clear_error(&error);
        p->status = EXIT_FAILURE;
        g_main_loop_quit(p->loop);
        break;
    case GST_MESSAGE_ASYNC_DONE:
        p->ready = TRUE;
        show(p);
        break;
    case GST_MESSAGE_SEGMENT_DONE: /* the next round begins behind this one, without a flush */
        seek(p, p->rate > 0 ? 0 : duration_of(p), GST_SEEK_FLAG_NONE);
        break;
    case GST_MESSAGE_EOS:
        g_print("\nend\n");
        g_main_loop_quit(p->loop);
        break;
    default:
        break;
    }
    return G_SOURCE_CONTINUE;
}

static gboolean on_time(gpointer user)
{
    const Player *p = user;
    if (p->ready)
        show(p);
    return G_SOURCE_CONTINUE;
}

static gboolean on_interrupt(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

/* Keys as they are pressed, without a line's end; as it was before in `old`. */
static gboolean set_terminal(struct termios *old)
{
    struct termios raw;
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, old) != 0)
        return FALSE;
    raw = *old;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

int main(int argc, char **argv)
{
    char *sink = NULL, **files = NULL;
    const GOptionEntry options[] = {
        { "video-sink", 0, 0, G_OPTION_ARG_STRING, &sink, "Where pictures go (default: autovideosink)",
          "ELEMENT" },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &files, NULL, NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("FILE|URI - a player");
    g_autoptr(GError) error = NULL;
    Player p = { .rate = 1., .status = EXIT_SUCCESS };
    struct termios old;
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (!g_option_context_parse(context, &argc, &argv, &error) || !files || files[1]) {
        g_printerr("player: %s\n", error ? error->message : "there is not one file");
        return EXIT_FAILURE;
    }
    p.playbin = gst_element_factory_make("playbin", NULL);
    GstElement *shown = sink ? gst_parse_bin_from_description(sink, TRUE, &error) : NULL;
    if (!p.playbin || (sink && !shown)) {
        g_printerr("player: %s\n", error ? error->message : "playbin is missing");
        return EXIT_FAILURE;
    }
    char *uri = gst_uri_is_valid(files[0]) ? g_strdup(files[0]) : gst_filename_to_uri(files[0], NULL);
    g_object_set(p.playbin, "uri", uri, NULL);
    if (shown)
        g_object_set(p.playbin, "video-sink", shown, NULL);
    p.loop = g_main_loop_new(NULL, FALSE);
    GstBus *bus = gst_element_get_bus(p.playbin);
    gst_bus_add_watch(bus, on_message, &p);
    g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_input, &p);
    g_unix_signal_add(SIGINT, on_interrupt, p.loop);
    g_timeout_add(250, on_time, &p);
    const gboolean have_terminal = set_terminal(&old);
    set_paused(&p, FALSE);
    g_main_loop_run(p.loop);
    if (have_terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &old);
    gst_element_set_state(p.playbin, GST_STATE_NULL);
    g_print("\n");
    gst_bus_remove_watch(bus);
    gst_object_unref(bus);
    gst_object_unref(p.playbin);
    g_main_loop_unref(p.loop);
    g_strfreev(files);
    g_free(sink);
    g_free(uri);
    return p.status;
}
