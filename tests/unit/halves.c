/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * NERV_VULKAN_FP16=1: what a decoder shows stays within 1 of 255 of the CPU's pictures, the large values really are kept
 * as 16-bit floats, and nothing is where a plan trains or an output is read as floats. Skipped (77) where there is
 * no Vulkan device, or one that cannot store them.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "nerv.h"
#include "ops/ops.h"
#include "vulkan/exec.h"
#include "device.h"

#define W        160
#define H        96
#define N_FRAMES 4

static NervVk *open_device(void)
{
    GError *error = NULL;
    NervBackend *be = nerv_backend_open(test_vulkan_name(), 1, &error);
    g_assert_no_error(error);
    return (NervVk *)be;
}

/* --- pictures --- */

static const NervVideoInfo info = {
    .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H, .matrix = NERV_MATRIX_BT601 },
    .primaries = 1,
    .transfer = 1,
    .fps_n = 30,
    .fps_d = 1,
    .par_n = 1,
    .par_d = 1,
};

/* Discs that move over a grating: edges, flat parts and all the range of values. */
static void paint(uint8_t *rgb, int frame)
{
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            const double dx = x - 40. - 15. * frame, dy = y - 48.;
            const bool inside = dx * dx + dy * dy < 900.;
            for (int c = 0; c < 3; c++)
                rgb[(y * W + x) * 3 + c] =
                    (uint8_t)(inside ? (c == 0 ? 255 : 20) : 127.5 + 127.5 * sin(.15 * x + .4 * y + 2 * c));
        }
    }
}

static GPtrArray *encode(const char *options, uint32_t epochs)
{
    NervEncoderSettings s;
    GError *error = NULL;
    NervPacket packet;
    uint8_t *rgb = g_malloc(W * H * 3);
    const NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    GPtrArray *packets = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    nerv_encoder_settings_init(&s);
    g_free(s.model);
    s.model = g_strdup("nerv-mlp");
    s.model_options = g_variant_ref_sink(g_variant_new_parsed(options));
    s.epochs = epochs;
    s.learning_rate = 5e-3;
    g_free(s.device);
    s.device = g_strdup("cpu");
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    for (int i = 0; i < N_FRAMES; i++) {
        paint(rgb, i);
        g_assert_true(nerv_encoder_send(enc, &frame, i * 33333333, &error));
    }
    g_assert_true(nerv_encoder_fit(enc, &error));
    while (nerv_encoder_get(enc, &packet))
        g_ptr_array_add(packets, packet.data);
    g_assert_cmpuint(packets->len, ==, N_FRAMES);
    nerv_encoder_free(enc);
    nerv_encoder_settings_clear(&s);
    g_free(rgb);
    return packets;
}

static uint8_t *decode(const GPtrArray *packets, const char *device)
{
    NervDecoderSettings s;
    GError *error = NULL;
    uint8_t *all = g_malloc((size_t)N_FRAMES * W * H * 3);
    nerv_decoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup(device);
    NervDecoder *dec = nerv_decoder_new(&s, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < N_FRAMES; i++) {
        gsize size;
        NervDecodedInfo out;
        const uint8_t *data = g_bytes_get_data(g_ptr_array_index(packets, i), &size);
        const NervFrame frame = { .data = { all + (size_t)i * W * H * 3 }, .stride = { W * 3 } };
        g_assert_true(nerv_decoder_send(dec, data, size, &out, &error));
        g_assert_true(nerv_decoder_render(dec, &frame, &error));
    }
    nerv_decoder_free(dec);
    nerv_decoder_settings_clear(&s);
    return all;
}

static int farthest(const uint8_t *a, const uint8_t *b, size_t *n_differ)
{
    int most = 0;
    *n_differ = 0;
    for (size_t i = 0; i < (size_t)N_FRAMES * W * H * 3; i++) {
        const int d = ABS(a[i] - b[i]);
        most = MAX(most, d);
        *n_differ += d != 0;
    }
    return most;
}

static void check_pictures(const char *options, uint32_t epochs)
{
    size_t n_full, n_half;
    GPtrArray *packets = encode(options, epochs);
    uint8_t *cpu = decode(packets, "cpu");
    g_unsetenv("NERV_VULKAN_FP16");
    uint8_t *full = decode(packets, test_vulkan_name());
    g_setenv("NERV_VULKAN_FP16", "1", TRUE);
    uint8_t *half = decode(packets, test_vulkan_name());
    const int full_far = farthest(cpu, full, &n_full), half_far = farthest(cpu, half, &n_half);
    g_test_message("%s: floats differ by %d at most, in %zu values; halves by %d, in %zu; of %d", options,
                   full_far, n_full, half_far, n_half, N_FRAMES * W * H * 3);
    g_assert_cmpint(full_far, <=, 1);
    g_assert_cmpint(half_far, <=, 1);
    g_assert_cmpuint(n_half, >, n_full); /* the mode is on */
    g_free(cpu);
    g_free(full);
    g_free(half);
    g_ptr_array_unref(packets);
}

static void test_pictures(void)
{
    check_pictures("{'stem': <32>, 'base-channels': <6>, 'widths': <[16,12,8]>, 'strides': <[4,2,2]>}", 60);
    check_pictures("{'stem': <32>, 'base-channels': <8>, 'widths': <[24,24]>, 'strides': <[4,4]>}", 60);
}

/* --- what becomes a half --- */

static guint count_halves(const NervExec *exec)
{
    const NervVkExec *x = (const NervVkExec *)exec;
    guint n = 0;
    for (uint32_t i = 0; i < x->n_tensors; i++)
        n += x->is_half[i];
    return n;
}

typedef struct {
    NervTape *tape;
    NervTensor *x, *rgb;
} Net;

/* x -> act -> linear -> convolution -> GELU, reshaped there and back -> convolution -> pixels */
static Net net_new(void)
{
    const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = 8, .height = 6 };
    const NervShape frame = nerv_shape(1, 3, 6, 8);
    Net n;
    NervTape *t = n.tape = nerv_tape_new();
    n.x = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 10, 1, 1), "x");
    NervTensor *m = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(144, 10, 1, 1), "m");
    NervTensor *w = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(3, 3, 3, 3), "w");
    NervTensor *stem = nerv_linear(t, nerv_act(t, n.x, NERV_ACT_SIN), m, NULL);
    NervTensor *hidden =
        nerv_act(t, nerv_conv2d(t, nerv_reshape(t, stem, frame), w, NULL, 1, 1), NERV_ACT_GELU);
    NervTensor *back = nerv_reshape(t, nerv_reshape(t, hidden, nerv_shape(1, 1, 1, 144)), frame);
    n.rgb = nerv_conv2d(t, back, w, NULL, 1, 1);
    nerv_tape_output(t, nerv_to_pixels(t, n.rgb, &pixels), "pixels");
    return n;
}

static guint halves_of(NervVk *vk, NervTape *tape)
{
    GError *error = NULL;
    NervExec *exec = nerv_exec_new(&vk->base, tape, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_exec_run(exec, &error));
    const guint n = count_halves(exec);
    nerv_exec_free(exec);
    nerv_tape_free(tape);
    return n;
}

static void test_choice(void)
{
    NervVk *vk = open_device();
    /* All from linear on, through the views; what act makes of a leaf stays whole. */
    Net n = net_new();
    g_assert_cmpuint(halves_of(vk, n.tape), ==, 4);
    /* An output is read as floats, under its own name or a view's, and so is all that leads to it: no shader mixes. */
    n = net_new();
    nerv_tape_output(n.tape, n.rgb, "rgb");
    g_assert_cmpuint(halves_of(vk, n.tape), ==, 0);
    n = net_new();
    nerv_tape_output(n.tape, nerv_reshape(n.tape, n.rgb, nerv_shape(1, 1, 1, 144)), "flat");
    g_assert_cmpuint(halves_of(vk, n.tape), ==, 0);
    /* Neither can what an op without the variant reads. */
    n = net_new();
    nerv_tape_output(n.tape, nerv_mse(n.tape, n.rgb, n.rgb), "mse");
    g_assert_cmpuint(halves_of(vk, n.tape), ==, 0);
    vk->uses_halves = false;
    n = net_new();
    g_assert_cmpuint(halves_of(vk, n.tape), ==, 0);
    nerv_backend_free(&vk->base);
}

/* --- every shader that has the variant --- */

enum { N_LEAVES = 9 };

static const int leaf_shape[N_LEAVES][4] = { { 1, 10, 1, 1 }, { 12 * 48, 10, 1, 1 }, { 1, 12 * 48, 1, 1 },
                                             { 3, 3, 3, 3 },  { 3, 3, 1, 1 },        { 4, 8, 6, 8 },
                                             { 1, 1, 1, 1 },  { 3, 1, 1, 1 },        { 1, 3, 1, 1 } };

/* Runs a network of all those ops and returns its pixels, 14x10 of them; *n_halves: values kept as halves. */
static uint8_t *run_all_ops(NervBackend *be, guint *n_halves)
{
    const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = 14, .height = 10 };
    GError *error = NULL;
    NervRng rng;
    NervTensor *leaf[N_LEAVES];
    NervTape *t = nerv_tape_new();
    for (int i = 0; i < N_LEAVES; i++)
        leaf[i] = nerv_tape_leaf(
            t, NERV_TENSOR_INPUT, NERV_F32,
            nerv_shape(leaf_shape[i][0], leaf_shape[i][1], leaf_shape[i][2], leaf_shape[i][3]), NULL);
    NervTensor *v = nerv_linear(t, leaf[0], leaf[1], leaf[2]);
    v = nerv_slice(t, nerv_reshape(t, v, nerv_shape(1, 12, 6, 8)), 5, 4);
    v = nerv_concat(t, (NervTensor *[]){ v, nerv_lookup(t, leaf[5], leaf[6]) }, 2);
    v = nerv_pixel_shuffle(t, v, 2);
    v = nerv_upsample(t, nerv_crop(t, v, 6, 8), 2);
    v = nerv_weigh(t, v, leaf[6], nerv_warp(t, v, nerv_slice(t, v, 0, 2)), leaf[6]);
    v = nerv_temporal_mix(t, nerv_norm(t, v, 1), leaf[7], leaf[8]);
    v = nerv_affine(t, nerv_modulate(t, v, nerv_concat(t, (NervTensor *[]){ v, v }, 2)), .1f, 0.f);
    NervTensor *a = nerv_act(t, nerv_conv2d(t, v, leaf[3], NULL, 1, 1), NERV_ACT_SIN);
    NervTensor *b = nerv_mul(t, nerv_add(t, a, v), a);
    b = nerv_crop(t, nerv_affine(t, b, -.7f, .2f), 10, 14);
    b = nerv_upconv2d(t, b, leaf[4], NULL, 1, NERV_ACT_TANH01);
    NervTensor *out = nerv_to_pixels(t, b, &pixels);
    nerv_tape_output(t, out, "pixels");
    NervExec *exec = nerv_exec_new(be, t, &error);
    g_assert_no_error(error);
    nerv_rng_init(&rng, 7);
    for (int i = 0; i < N_LEAVES; i++) {
        const size_t n = (size_t)nerv_shape_count(leaf[i]->shape);
        float *values = g_new(float, n);
        for (size_t j = 0; j < n; j++)
            values[j] = (float)(int32_t)(nerv_rng_below(&rng, 2001)) / 1000.f - 1.f;
        g_assert_true(nerv_exec_write(exec, leaf[i], values, &error));
        g_free(values);
    }
    uint8_t *bytes = g_malloc0(nerv_tensor_bytes(out));
    g_assert_true(nerv_exec_run(exec, &error));
    g_assert_true(nerv_exec_read(exec, out, bytes, &error));
    if (n_halves)
        *n_halves = count_halves(exec);
    nerv_exec_free(exec);
    nerv_tape_free(t);
    return bytes;
}

static void test_all_ops(void)
{
    GError *error = NULL;
    NervBackend *cpu = nerv_backend_open("cpu", 1, &error);
    g_assert_no_error(error);
    NervVk *vk = open_device();
    guint n_halves;
    uint8_t *want = run_all_ops(cpu, NULL), *got = run_all_ops(&vk->base, &n_halves);
    int least = 255, most = 0;
    g_assert_cmpuint(n_halves, ==, 22); /* what the 22 ops before to_pixels that are no view make */
    for (int i = 0; i < 14 * 10 * 3; i++) {
        g_assert_cmpint(ABS(want[i] - got[i]), <=, 1);
        least = MIN(least, want[i]);
        most = MAX(most, want[i]);
    }
    g_assert_cmpint(most - least, >, 100); /* there is a picture */
    g_free(want);
    g_free(got);
    nerv_backend_free(cpu);
    nerv_backend_free(&vk->base);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("NERV_VULKAN_FP16", "1", TRUE);
    NervBackend *be = nerv_backend_open(test_vulkan_name(), 1, NULL);
    const bool can = be && ((NervVk *)be)->uses_halves;
    nerv_backend_free(be);
    if (!can)
        return 77;
    g_test_add_func("/halves/pictures", test_pictures);
    g_test_add_func("/halves/choice", test_choice);
    g_test_add_func("/halves/all-ops", test_all_ops);
    return g_test_run();
}
