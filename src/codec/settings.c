/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An encoder's settings, see settings.h: defaults, checks, and what they mean for a network's size and its fit. Where numbers were
 * measured, docs/design.md says how ("Defaults", "Rate control").
 */
#include "codec/settings.h"

#include <math.h>

/* How far the videos of a segment are apart in what they count, by their losses (train/balance.h). */
#define VIDEO_BALANCE            .5
#define DEFAULT_MAX_MEMORY_BYTES ((uint64_t)2 << 30)
/* Early: bits are saved by what the network learns to do without, and that takes as long as learning (docs/design.md). */
#define QUANTISE_FROM 0.1
/* Of a network whose size is chosen for a rate. */
#define BITS_PER_WEIGHT 3.5
/* Of a fit whose epochs are a preset's, however few frames there are, if it begins with weights that are not learned, or the preset says no other number. */
#define LEAST_STEPS 500
/* The rate's weight at quality 50, where bits and errors weigh alike; it halves every 10, for about 3 dB more. */
#define QUALITY_MIDDLE 50.
#define QUALITY_OCTAVE 10.
#define PSNR_AT_MIDDLE 31.
#define PSNR_OCTAVE    3.
/* Keyframes' part of the bytes that are asked for. */
#define KEYS_SHARE 0.55
/* Keyframes' quantiser at that weight, and how much it falls for 3 dB. */
#define MIDDLE_QUANT 45.
#define QUANT_OCTAVE 9.
#define LEAST_QUANT  4
/* Decibels that they are above a target_psnr: what the network shows is made of them (docs/design.md, "Clips and keyframes"). */
#define KEY_HEADROOM 1.
#define MOST_QUANT   63
#define LEAST_GROWTH 0.125
#define MOST_GROWTH  16.
/* Multiplications per pixel, of which presets have their part; in larger frames fewer, as with the square root of their area: details are larger there. */
#define MACS_PER_PIXEL             10000.
#define MACS_AT_PIXELS             57600.
#define LEAST_MACS_PER_PIXEL       1400. /* fewer are hardly a network */
#define LEAST_KEYED_MACS_PER_PIXEL 800.
#define MOST_MACS_PER_PIXEL        20000.
/* Beyond a preset's, that its fits still are as good as with its own. */
#define NEAR_MACS 1.25

/* From where on a picture is a large one. */
#define LARGE_PIXELS (1280 * 720)

/* Passes over the frames; multiplications relative to MACS_PER_PIXEL, and those of networks that have keyframes; libaom's speed for keyframes, small ones and large
 * ones: of a fit that takes long enough they are a small part. Odd speeds give little for their time. And a short fit's least steps from a learned start. Networks
 * of few multiplications and of many that are fitted for the same time are about equal (docs/design.md, "Defaults"), and few decode the faster; that was not looked at with keyframes. */
static const struct {
    uint32_t epochs;
    double macs, keyed_macs;
    uint32_t key_speed[2];
    uint32_t least_steps; /* 0: LEAST_STEPS */
} presets[NERV_PRESET_N] = {
    [NERV_PRESET_ULTRAFAST] = { 4, .2, .2, { 6, 8 }, 200 },
    [NERV_PRESET_SUPERFAST] = { 12, .2, .25, { 6, 6 }, 320 },
    [NERV_PRESET_VERYFAST] = { 20, .2, .35, { 6, 6 } },
    [NERV_PRESET_FASTER] = { 40, .2, .5, { 6, 6 } },
    [NERV_PRESET_FAST] = { 80, .35, .7, { 4, 6 } },
    [NERV_PRESET_MEDIUM] = { 150, .35, 1., { 4, 6 } },
    [NERV_PRESET_SLOW] = { 300, .5, 1., { 4, 6 } },
    [NERV_PRESET_SLOWER] = { 600, .7, 1.2, { 2, 4 } },
    [NERV_PRESET_VERYSLOW] = { 1200, 1., 1.4, { 2, 4 } },
    [NERV_PRESET_PLACEBO] = { 2400, 2., 2., { 2, 4 } },
};

static const double middle_weight[NERV_TUNE_N] = {
    [NERV_TUNE_SSIM] = .05,
    [NERV_TUNE_PSNR] = .002,
    [NERV_TUNE_MSSSIM] = .05,
    [NERV_TUNE_L1] = .03,
};

void nerv_encoder_settings_init(NervEncoderSettings *s)
{
    *s = (NervEncoderSettings){
        .model = g_strdup("nerv"),
        .preset = NERV_PRESET_MEDIUM,
        .segment_frames = 128,
        .max_memory_bytes = DEFAULT_MAX_MEMORY_BYTES,
        .batch_size = 1,
        .seed = 1,
        .bits = 8,
        .rate_weight = -1.,
        .quality = QUALITY_MIDDLE,
        .warm_start = NERV_WARM_START_WEIGHTS,
        .sync_interval = 8,
        .device = g_strdup("auto"),
    };
}

void nerv_encoder_settings_clear(NervEncoderSettings *s)
{
    g_clear_pointer(&s->model, g_free);
    g_clear_pointer(&s->device, g_free);
    g_clear_pointer(&s->init_location, g_free);
    g_clear_pointer(&s->model_options, g_variant_unref);
}

void nerv_settings_copy(NervEncoderSettings *dst, const NervEncoderSettings *src)
{
    *dst = *src;
    dst->model = g_strdup(src->model);
    dst->device = g_strdup(src->device);
    dst->init_location = g_strdup(src->init_location);
    dst->model_options = src->model_options ? g_variant_ref_sink(src->model_options) : NULL;
    if (!dst->max_memory_bytes)
        dst->max_memory_bytes = DEFAULT_MAX_MEMORY_BYTES;
}

/* Of settings in their ranges: what contradicts the paper's pipeline, or NULL. */
static const char *check_paper(const NervEncoderSettings *s)
{
    if (!(s->pruning > 0.) && s->coding == NERV_CODING_RANGE)
        return NULL;
    if (s->target_size_bytes || s->bitrate || s->target_psnr > 0. || s->rate_weight > 0.)
        return "weights that are pruned or Huffman coded are quantised after the fit: pruning and "
               "coding=huffman do not go with "
               "rate-weight, bitrate, target-psnr or target-size-bytes";
    if (s->pruning > 0. && s->weight_deltas)
        return "weights that are differences are no smaller for being zero: pruning does not go with "
               "weight-deltas";
    if (s->pruning > 0. && s->warm_start == NERV_WARM_START_RESIDUAL)
        return "a pruned network has zeros, which half of the last one would fill: pruning does not go with "
               "warm-start=residual";
    return NULL;
}

bool nerv_settings_valid(const NervVideoInfo *info, const NervEncoderSettings *s, GError **error)
{
    const char *why = NULL;
    double kr, kb;
    if (!nerv_pixels_bytes(&info->pixels))
        why = "the video's format or size is not valid";
    else if (info->pixels.format >= NERV_PIXELS_I420 &&
             !nerv_matrix_coefficients(info->pixels.matrix, &kr, &kb))
        why = "the video's colour matrix is not supported";
    else if ((unsigned)s->preset >= NERV_PRESET_N)
        why = "unknown preset";
    else if (s->segment_frames > NERV_MAX_SEGMENT_FRAMES)
        why = "a segment has at most 65536 frames";
    else if (s->batch_size < 1 || s->batch_size > NERV_MAX_SEGMENT_FRAMES)
        why = "a batch-size goes from 1 to 65536 frames";
    else if (!(s->learning_rate >= 0. && s->learning_rate <= 10.))
        why = "learning-rate goes from 0 to 10";
    else if (s->bits < 2 || s->bits > 8)
        why = "weights take 2 to 8 bits";
    else if (!(s->rate_weight == -1. || (s->rate_weight >= 0. && s->rate_weight <= 1e6)))
        why = "rate-weight goes from 0 to 1000000, or is -1";
    else if (!(s->quality >= 0. && s->quality <= 100.))
        why = "quality goes from 0 to 100";
    else if (!(s->target_psnr >= 0. && s->target_psnr <= 100.))
        why = "target-psnr goes from 0 to 100 dB";
    else if (!(s->max_seconds >= 0. && s->max_seconds <= 1e9))
        why = "max-encode-seconds goes from 0 to 1000000000";
    else if (!(s->held_out >= 0. && s->held_out <= .5))
        why = "held-out goes from 0 to 0.5";
    else if ((unsigned)s->tune >= NERV_TUNE_N)
        why = "unknown tune";
    else if ((unsigned)s->init >= NERV_INIT_N)
        why = "unknown init";
    else if (s->init == NERV_INIT_NONE && s->init_location)
        why = "init=none and an init-location exclude each other";
    else if (s->init == NERV_INIT_NONE && s->warm_start == NERV_WARM_START_RESIDUAL)
        why = "init=none and warm-start=residual exclude each other";
    else if (s->init == NERV_INIT_NONE && s->weight_deltas)
        why = "init=none and weight-deltas exclude each other";
    else if ((unsigned)s->warm_start >= NERV_WARM_START_N)
        why = "unknown warm-start";
    else if (s->sync_interval < 1)
        why = "a sync-interval is 1 segment at least";
    else if (!(s->pruning >= 0. && s->pruning <= .99))
        why = "pruning goes from 0 to 0.99";
    else if ((unsigned)s->coding >= NERV_CODING_N)
        why = "unknown coding";
    else if (s->held_out > 0. && (s->pruning > 0. || s->target_psnr > 0.))
        why = "where samples are held out they say when a fit ends: held-out does not go with pruning or "
              "target-psnr";
    else
        why = check_paper(s);
    if (why)
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s", why);
    return !why;
}

NervRateMode nerv_settings_rate_mode(const NervEncoderSettings *s)
{
    if (s->target_size_bytes)
        return NERV_RATE_SIZE;
    if (s->bitrate)
        return NERV_RATE_BITRATE;
    if (s->target_psnr > 0.)
        return NERV_RATE_PSNR;
    if (s->rate_weight > 0.)
        return NERV_RATE_WEIGHT;
    const bool paper = s->pruning > 0. || s->coding == NERV_CODING_HUFFMAN;
    return paper || s->rate_weight == 0. ? NERV_RATE_AFTER : NERV_RATE_QUALITY;
}

/* Of a bit per pixel in the loss; of a target_psnr only the first guess. */
static double rate_weight(const NervEncoderSettings *s)
{
    const double middle = middle_weight[s->tune];
    switch (nerv_settings_rate_mode(s)) {
    case NERV_RATE_WEIGHT:
        return s->rate_weight;
    case NERV_RATE_AFTER:
        return 0.;
    case NERV_RATE_PSNR:
        return middle * exp2((PSNR_AT_MIDDLE - s->target_psnr) / PSNR_OCTAVE);
    default:
        return middle * exp2((QUALITY_MIDDLE - s->quality) / QUALITY_OCTAVE);
    }
}

/* Multiplications per pixel that a preset allows. */
static double preset_macs(const NervEncoderSettings *s, NervPreset preset, const NervClip *clip)
{
    const bool keyed = g_str_has_prefix(s->model, "dnerv");
    const double pixels = (double)clip->width * clip->height;
    const double wish = MACS_PER_PIXEL * (keyed ? presets[preset].keyed_macs : presets[preset].macs) *
                        sqrt(MACS_AT_PIXELS / pixels);
    return CLAMP(wish, keyed ? LEAST_KEYED_MACS_PER_PIXEL : LEAST_MACS_PER_PIXEL, MOST_MACS_PER_PIXEL);
}

double nerv_settings_least_passes(const NervEncoderSettings *s, const NervClip *clip, double macs)
{
    NervPreset p = NERV_PRESET_ULTRAFAST;
    while (p < s->preset && preset_macs(s, p, clip) * NEAR_MACS < macs)
        p++;
    return p ? presets[p].epochs : 0.;
}

double nerv_settings_fewer_macs(const NervEncoderSettings *s, const NervClip *clip, double macs,
                                double passes)
{
    NervPreset p = s->preset;
    while (p && presets[p].epochs > passes * macs / fmin(preset_macs(s, p, clip), macs))
        p--;
    return preset_macs(s, p, clip);
}

NervModelSize nerv_settings_model_size(const NervEncoderSettings *s, const NervClip *clip,
                                       double target_bytes, double growth, double most_macs)
{
    const double weight = rate_weight(s);
    NervModelSize size = { .weights = target_bytes * 8. / BITS_PER_WEIGHT, .growth = growth };
    size.macs_per_pixel = preset_macs(s, s->preset, clip);
    if (most_macs > 0.)
        size.macs_per_pixel = fmin(size.macs_per_pixel, most_macs);
    /* 3 dB more take about twice the bits */
    if (target_bytes == 0. && weight > 0.)
        size.growth *= CLAMP(middle_weight[s->tune] / weight, LEAST_GROWTH, MOST_GROWTH);
    return size;
}

double nerv_settings_keys_share(void)
{
    return KEYS_SHARE;
}

uint32_t nerv_settings_key_quant(const NervEncoderSettings *s)
{
    /* half of a rate's weight is worth 3 dB, and so are as many steps of the quantiser */
    const double octaves = log2(middle_weight[s->tune] / fmax(rate_weight(s), 1e-9));
    return (uint32_t)CLAMP(lrint(MIDDLE_QUANT - QUANT_OCTAVE * octaves), LEAST_QUANT, MOST_QUANT);
}

double nerv_settings_key_psnr(const NervEncoderSettings *s)
{
    if (nerv_settings_rate_mode(s) != NERV_RATE_PSNR)
        return 0.;
    return s->target_psnr + KEY_HEADROOM;
}

uint32_t nerv_settings_key_speed(const NervEncoderSettings *s, const NervPixels *pixels)
{
    return presets[s->preset].key_speed[(int64_t)pixels->width * pixels->height >= LARGE_PIXELS];
}

/* A preset's epochs are made for many frames; a short segment, a stream's end for instance, takes more of them. */
static uint32_t preset_epochs(const NervEncoderSettings *s, uint32_t n_frames, bool learned)
{
    const uint32_t batches = (n_frames + s->batch_size - 1) / s->batch_size;
    const uint32_t own = learned ? presets[s->preset].least_steps : 0, least = own ? own : LEAST_STEPS;
    return MAX(presets[s->preset].epochs, (least + batches - 1) / batches);
}

static void loss_weights(NervTune tune, NervTrainSettings *t)
{
    switch (tune) {
    case NERV_TUNE_PSNR:
        t->l1_weight = t->ssim_weight = 0.;
        t->mse_weight = 1.;
        break;
    case NERV_TUNE_MSSSIM:
        t->msssim_weight = t->ssim_weight;
        t->ssim_weight = 0.;
        break;
    case NERV_TUNE_L1:
        t->l1_weight = 1.;
        t->ssim_weight = 0.;
        break;
    default:
        break;
    }
}

void nerv_settings_train(const NervEncoderSettings *s, const NervModel *model, uint32_t segment_id,
                         bool learned, NervTrainSettings *t)
{
    nerv_train_settings_default(t);
    t->epochs = s->epochs ? s->epochs : preset_epochs(s, (uint32_t)model->clip.n_frames, learned);
    t->batch_size = s->batch_size;
    t->learning_rate = s->learning_rate > 0. ? s->learning_rate : model->learning_rate;
    t->beta1 = model->beta1;
    t->beta2 = model->beta2;
    t->warmup = model->warmup;
    t->balance = VIDEO_BALANCE;
    t->pruning = s->pruning;
    loss_weights(s->tune, t);
    if (nerv_settings_rate_mode(s) != NERV_RATE_AFTER) {
        t->bits = s->bits;
        t->quantise_from = QUANTISE_FROM;
        t->rate_weight = rate_weight(s);
    }
    /* Segments differ in their draws, streams of one seed do not. */
    t->seed = s->seed + (uint64_t)segment_id * UINT64_C(0x9e3779b97f4a7c15);
}
