/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shader modules, layouts and pipelines. A pipeline's key is its shader's stem and the values of its
 * specialisation constants; modules live only while a pipeline is made.
 */
#include "vulkan/pipeline.h"

#include <string.h>

#include "vulkan/shader.h"

#define PUSH_BYTES (NERV_MAX_PUSH * sizeof(uint32_t))

struct NervVkPipelines {
    GHashTable *by_key; /* char * -> VkPipeline, boxed */
    VkPipelineCache cache;
    char *cache_path;      /* NULL: not kept */
    GBytes *cache_on_disk; /* what was loaded; NULL: nothing */
    VkDescriptorSetLayout set[NERV_MAX_BIND + 1];
    VkPipelineLayout layout[NERV_MAX_BIND + 1];
};

const NervShader *nerv_shader_find(const char *stem)
{
    uint32_t lo = 0, hi = nerv_n_shaders;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = strcmp(stem, nerv_shaders[mid].stem);
        if (order == 0)
            return &nerv_shaders[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const NervShader *nerv_shader_variant(const char *stem, const char *variant)
{
    char *name = g_strconcat(stem, "_", variant, NULL);
    const NervShader *shader = nerv_shader_find(name);
    g_free(name);
    return shader;
}

bool nerv_vk_pipelines_init(NervVk *vk, GError **error)
{
    VkPipelineCacheCreateInfo info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO };
    NervVkPipelines *p = vk->pipelines = g_new0(NervVkPipelines, 1);
    p->by_key = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    p->cache_path = nerv_vk_cache_path(&vk->identity);
    if (p->cache_path)
        p->cache_on_disk = nerv_vk_cache_load(p->cache_path, &vk->identity);
    if (p->cache_on_disk) {
        info.pInitialData = g_bytes_get_data(p->cache_on_disk, &info.initialDataSize);
        if (vkCreatePipelineCache(vk->device, &info, NULL, &p->cache) == VK_SUCCESS)
            return true;
        g_clear_pointer(&p->cache_on_disk, g_bytes_unref);
        info.initialDataSize = 0;
        info.pInitialData = NULL;
    }
    return nerv_vk_check(vk, vkCreatePipelineCache(vk->device, &info, NULL, &p->cache),
                         "create a pipeline cache", error);
}

/* Keeps what was compiled, if that is more than what was loaded. */
static void save_cache(NervVk *vk)
{
    NervVkPipelines *p = vk->pipelines;
    size_t bytes = 0;
    if (!p->cache_path || !p->cache || vk->is_lost || vk->base.stats.pipelines == 0 ||
        vkGetPipelineCacheData(vk->device, p->cache, &bytes, NULL) != VK_SUCCESS || bytes == 0)
        return;
    void *data = g_try_malloc(bytes);
    if (data && vkGetPipelineCacheData(vk->device, p->cache, &bytes, data) == VK_SUCCESS) {
        GBytes *now = g_bytes_new_static(data, bytes);
        if (!p->cache_on_disk || !g_bytes_equal(now, p->cache_on_disk))
            nerv_vk_cache_save(p->cache_path, &vk->identity, data, bytes);
        g_bytes_unref(now);
    }
    g_free(data);
}

void nerv_vk_pipelines_clear(NervVk *vk)
{
    NervVkPipelines *p = vk->pipelines;
    GHashTableIter iter;
    gpointer pipeline;
    if (!p)
        return;
    save_cache(vk);
    g_hash_table_iter_init(&iter, p->by_key);
    while (g_hash_table_iter_next(&iter, NULL, &pipeline))
        vkDestroyPipeline(vk->device, *(VkPipeline *)pipeline, NULL);
    g_hash_table_unref(p->by_key);
    for (uint32_t i = 0; i <= NERV_MAX_BIND; i++) {
        vkDestroyPipelineLayout(vk->device, p->layout[i], NULL);
        vkDestroyDescriptorSetLayout(vk->device, p->set[i], NULL);
    }
    vkDestroyPipelineCache(vk->device, p->cache, NULL);
    g_clear_pointer(&p->cache_on_disk, g_bytes_unref);
    g_free(p->cache_path);
    g_clear_pointer(&vk->pipelines, g_free);
}

bool nerv_vk_layout(NervVk *vk, uint32_t n_bind, VkDescriptorSetLayout *set, VkPipelineLayout *layout,
                    GError **error)
{
    NervVkPipelines *p = vk->pipelines;
    VkDescriptorSetLayoutBinding bindings[NERV_MAX_BIND] = { 0 };
    for (uint32_t i = 0; i < n_bind; i++) {
        bindings[i].binding = i;
        bindings[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        bindings[i].descriptorCount = 1;
        bindings[i].stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
    }
    VkDescriptorSetLayoutCreateInfo set_info = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                 .bindingCount = n_bind,
                                                 .pBindings = bindings };
    if (!p->set[n_bind] &&
        !nerv_vk_check(vk, vkCreateDescriptorSetLayout(vk->device, &set_info, NULL, &p->set[n_bind]),
                       "create a descriptor set layout", error))
        return false;
    VkPushConstantRange push = { .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = PUSH_BYTES };
    VkPipelineLayoutCreateInfo layout_info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .setLayoutCount = 1,
                                               .pSetLayouts = &p->set[n_bind],
                                               .pushConstantRangeCount = 1,
                                               .pPushConstantRanges = &push };
    if (!p->layout[n_bind] &&
        !nerv_vk_check(vk, vkCreatePipelineLayout(vk->device, &layout_info, NULL, &p->layout[n_bind]),
                       "create a pipeline layout", error))
        return false;
    *set = p->set[n_bind];
    *layout = p->layout[n_bind];
    return true;
}

static char *make_key(const NervDispatch *dispatch)
{
    GString *key = g_string_new(dispatch->shader);
    g_string_append_printf(key, "/%u", dispatch->n_bind);
    for (uint32_t i = 0; i < dispatch->n_spec; i++)
        g_string_append_printf(key, ",%x", dispatch->spec[i]);
    return g_string_free(key, FALSE);
}

static VkPipeline create_pipeline(NervVk *vk, const NervDispatch *dispatch, const NervShader *shader,
                                  GError **error)
{
    VkSpecializationMapEntry entries[NERV_MAX_SPEC];
    VkDescriptorSetLayout set;
    VkPipelineLayout layout;
    VkShaderModule module = VK_NULL_HANDLE;
    VkPipeline pipeline = VK_NULL_HANDLE;
    char *what = g_strdup_printf("make a pipeline of shader %s", dispatch->shader);
    for (uint32_t i = 0; i < dispatch->n_spec; i++)
        entries[i] = (VkSpecializationMapEntry){ .constantID = i, .offset = i * 4, .size = 4 };
    VkSpecializationInfo spec = { .mapEntryCount = dispatch->n_spec,
                                  .pMapEntries = entries,
                                  .dataSize = dispatch->n_spec * 4,
                                  .pData = dispatch->spec };
    VkShaderModuleCreateInfo module_info = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                             .codeSize = (size_t)*shader->n_words * 4,
                                             .pCode = shader->words };
    if (!nerv_vk_layout(vk, dispatch->n_bind, &set, &layout, error) ||
        !nerv_vk_check(vk, vkCreateShaderModule(vk->device, &module_info, NULL, &module), what, error))
        goto done;
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                   .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                   .module = module,
                   .pName = "main",
                   .pSpecializationInfo = &spec },
        .layout = layout,
    };
    vk->base.stats.pipelines++;
    if (!nerv_vk_check(vk,
                       vkCreateComputePipelines(vk->device, vk->pipelines->cache, 1, &info, NULL, &pipeline),
                       what, error))
        pipeline = VK_NULL_HANDLE;

done:
    vkDestroyShaderModule(vk->device, module, NULL);
    g_free(what);
    return pipeline;
}

VkPipeline nerv_vk_pipeline(NervVk *vk, const NervDispatch *dispatch, GError **error)
{
    const NervShader *shader = nerv_shader_find(dispatch->shader);
    if (!shader) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                    "Vulkan: there is no shader \"%s\"; is it listed in shaders/meson.build?",
                    dispatch->shader);
        return VK_NULL_HANDLE;
    }
    char *key = make_key(dispatch);
    const VkPipeline *known = g_hash_table_lookup(vk->pipelines->by_key, key);
    if (known) {
        g_free(key);
        return *known;
    }
    VkPipeline pipeline = create_pipeline(vk, dispatch, shader, error);
    if (pipeline)
        g_hash_table_insert(vk->pipelines->by_key, key, g_memdup2(&pipeline, sizeof(pipeline)));
    else
        g_free(key);
    return pipeline;
}
