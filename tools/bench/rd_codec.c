/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pipelines of codecs, see rd_codec.h. The elements' defaults that would be a handicap in this comparison are put right: x264enc's
 * buffer of 600 ms at 2 Mbit/s, av1enc's key frame every 30 frames and no look-ahead, x265enc's tune=ssim and its 2 kB of text in the stream.
 */
#include "rd_codec.h"

#define KEY_FRAMES 250

/* The first of each that is installed is taken. */
static const struct {
    const char *name, *encoders[3], *decoders[4], *file, *file_kind, *read;
} peers[RD_N_PEERS] = {
    { "x264",
      { "x264enc" },
      { "avdec_h264", "openh264dec" },
      "h264parse ! video/x-h264,stream-format=byte-stream",
      "H.264 byte stream (Annex B)",
      "h264parse" },
    { "x265",
      { "x265enc" },
      { "avdec_h265", "libde265dec" },
      "h265parse ! video/x-h265,stream-format=byte-stream",
      "H.265 byte stream (Annex B)",
      "h265parse" },
    { "av1",
      { "svtav1enc", "av1enc" },
      { "dav1ddec", "avdec_av1", "av1dec" },
      "av1parse ! video/x-av1,stream-format=obu-stream",
      "AV1 low-overhead OBU stream",
      "typefind force-caps=\"video/x-av1,stream-format=obu-stream,alignment=byte\" ! av1parse" },
};

static const char *const presets[] = { "ultrafast", "superfast", "veryfast", "faster",   "fast",
                                       "medium",    "slow",      "slower",   "veryslow", NULL };

void rd_codec_clear(RdCodec *codec)
{
    g_free(codec->encoder);
    g_free(codec->encode);
    g_free(codec->stream);
    g_free(codec->decode);
}

bool rd_preset_is_known(const char *preset)
{
    return g_strv_contains(presets, preset);
}

int rd_peer_index(const char *name)
{
    for (int i = 0; i < RD_N_PEERS; i++)
        if (g_str_equal(peers[i].name, name))
            return i;
    return -1;
}

bool rd_peer_is_av1(int peer)
{
    return g_str_equal(peers[peer].name, "av1");
}

const char *rd_peer_name(int peer)
{
    return peers[peer].name;
}

static const char *first_installed(const char *const *names)
{
    for (; *names; names++) {
        g_autoptr(GstElementFactory) factory = gst_element_factory_find(*names);
        if (factory)
            return *names;
    }
    return NULL;
}

const char *rd_peer_missing(int peer)
{
    return !first_installed(peers[peer].encoders)   ? "encoder"
           : !first_installed(peers[peer].decoders) ? "decoder"
                                                    : NULL;
}

static char *x264(int32_t crf, const RdSettings *s)
{
    return g_strdup_printf("x264enc pass=qual quantizer=%d speed-preset=%s psy-tune=%s key-int-max=%d "
                           "vbv-buf-capacity=0 threads=%d",
                           crf, s->preset, s->tune, KEY_FRAMES, s->threads);
}

static char *x265(int32_t crf, const RdSettings *s)
{
    g_autofree char *pools = s->threads ? g_strdup_printf(":pools=%d", s->threads) : g_strdup("");
    /* Its enumeration has no name without spaces for no tuning. */
    return g_strdup_printf("x265enc speed-preset=%s tune=%s key-int-max=%d option-string=\"crf=%d:info=0%s\"",
                           s->preset, g_str_equal(s->tune, "none") ? "0" : s->tune, KEY_FRAMES, crf, pools);
}

static char *av1(const char *element, int32_t kbits, const RdSettings *s)
{
    if (g_str_equal(element, "svtav1enc"))
        return g_strdup_printf(
            "svtav1enc target-bitrate=%d preset=%d intra-period-length=%d logical-processors=%d", kbits,
            s->av1_speed, KEY_FRAMES, s->threads);
    /* It has no property for the quality of end-usage=q and cq, and a least quantiser in its place takes from all frames what some are worth more
     * than others; its vbr, in one pass, stays at the greatest quantiser whatever it is asked for. */
    return g_strdup_printf(
        "av1enc end-usage=cbr target-bitrate=%d min-quantizer=0 max-quantizer=63 cpu-used=%d "
        "keyframe-max-dist=%d lag-in-frames=35 threads=%d",
        kbits, s->av1_speed, KEY_FRAMES, s->threads);
}

void rd_peer_codec(RdCodec *codec, int peer, int32_t point, const RdSettings *s)
{
    const char *element = first_installed(peers[peer].encoders), *dec = first_installed(peers[peer].decoders);
    codec->is_nerv = false;
    codec->stream = NULL;
    codec->encoder = rd_peer_is_av1(peer)              ? av1(element, point, s)
                     : g_str_equal(element, "x264enc") ? x264(point, s)
                                                       : x265(point, s);
    codec->encode = g_strdup_printf("%s ! %s", codec->encoder, peers[peer].file);
    codec->decode = g_str_has_prefix(dec, "avdec_") && s->threads
                        ? g_strdup_printf("%s ! %s max-threads=%d", peers[peer].read, dec, s->threads)
                        : g_strdup_printf("%s ! %s", peers[peer].read, dec);
    codec->file_kind = peers[peer].file_kind;
}

static gboolean write_share(const GMatchInfo *match, GString *out, gpointer user)
{
    g_autofree char *key = g_match_info_fetch(match, 1), *value = g_match_info_fetch(match, 2);
    const double some = g_ascii_strtod(value, NULL) * *(const double *)user;
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd(text, sizeof(text), g_str_equal(key, "target-size-bytes") ? "%.0f" : "%.3f", some);
    g_string_append_printf(out, "%s=%s", key, text);
    return FALSE;
}

char *rd_nerv_share(const char *properties, double share)
{
    g_autoptr(GRegex) budgets =
        g_regex_new("(?<![\\w-])(target-size-bytes|max-encode-seconds)=([\\d.]+)", 0, 0, NULL);
    return g_regex_replace_eval(budgets, properties, -1, 0, 0, write_share, &share, NULL);
}

/* What a decoder needs to know of nervenc's properties: the init that a stream may be differences from. In front of it a space; may be empty. */
static char *init_of(const char *properties)
{
    g_autoptr(GRegex) location =
        g_regex_new("(?<![\\w-])init-location=(\"(\\\\.|[^\"])*\"|\\S+)", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *found =
        g_regex_match(location, properties, 0, &match) ? g_match_info_fetch(match, 0) : NULL;
    return found ? g_strconcat(" ", found, NULL) : g_strdup("");
}

void rd_nerv_codec(RdCodec *codec, const char *properties, const char *stream, const RdSettings *s)
{
    codec->is_nerv = true;
    codec->stream = g_strdup(stream);
    codec->encoder =
        stream ? g_strdup_printf("nervenc %s", properties)
               : g_strdup_printf("nervenc device=%s threads=%d %s", s->device, s->threads, properties);
    codec->encode = g_strdup(codec->encoder);
    g_autofree char *init = init_of(properties);
    codec->decode = g_strdup_printf("nervparse ! nervdec device=%s threads=%d%s ! video/x-raw,format=RGB",
                                    s->device, s->threads, init);
    codec->file_kind = "nerv byte stream";
}
