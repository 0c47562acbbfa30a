/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Finds and opens a Vulkan device: instance (with the validation layer if the environment asks for it),
 * choice of the physical device, logical device with one compute queue, limits. Says what is missing where
 * something is.
 */
#include "vulkan/device.h"

#include <string.h>

#include "vulkan/validation.h"

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

static gint validation_messages; /* atomic */

uint32_t nerv_vulkan_validation_messages(void)
{
    return (uint32_t)g_atomic_int_get(&validation_messages);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT type,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    g_atomic_int_inc(&validation_messages);
    g_warning("Vulkan validation: %s", data->pMessage);
    return VK_FALSE;
}

static const char *result_name(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return "out of host memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return "out of device memory";
    case VK_ERROR_INITIALIZATION_FAILED:
        return "initialisation failed";
    case VK_ERROR_DEVICE_LOST:
        return "the device was lost (it hung, was reset or removed)";
    case VK_ERROR_MEMORY_MAP_FAILED:
        return "mapping memory failed";
    case VK_ERROR_LAYER_NOT_PRESENT:
        return "a layer is not installed";
    case VK_ERROR_EXTENSION_NOT_PRESENT:
        return "an extension is missing";
    case VK_ERROR_FEATURE_NOT_PRESENT:
        return "a feature is missing";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
        return "no compatible driver";
    case VK_ERROR_TOO_MANY_OBJECTS:
        return "too many objects";
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
        return "out of pool memory";
    case VK_TIMEOUT:
        return "the device does not answer";
    default:
        return NULL;
    }
}

bool nerv_vk_check(NervVk *vk, VkResult result, const char *what, GError **error)
{
    if (result == VK_SUCCESS)
        return true;
    bool is_memory = result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY ||
                     result == VK_ERROR_OUT_OF_POOL_MEMORY || result == VK_ERROR_FRAGMENTED_POOL ||
                     result == VK_ERROR_TOO_MANY_OBJECTS;
    vk->base.has_failed = true;
    if (result == VK_ERROR_DEVICE_LOST || result == VK_TIMEOUT)
        vk->is_lost = true;
    const char *name = result_name(result);
    int code = is_memory ? NERV_ERROR_MEMORY : NERV_ERROR_DEVICE;
    if (name)
        g_set_error(error, NERV_ERROR, code, "Vulkan: cannot %s: %s", what, name);
    else
        g_set_error(error, NERV_ERROR, code, "Vulkan: cannot %s: VkResult %d", what, (int)result);
    return false;
}

bool nerv_vk_alive(const NervVk *vk, GError **error)
{
    if (!vk->is_lost)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE, "Vulkan: the device was lost earlier; open it again");
    return false;
}

/* --- instance --- */

static bool wants_validation(void)
{
    const char *value = g_getenv("NERV_VULKAN_VALIDATION");
    return value && *value && strcmp(value, "0") != 0;
}

static bool has_validation_layer(void)
{
    uint32_t n = 0;
    if (vkEnumerateInstanceLayerProperties(&n, NULL) != VK_SUCCESS || n == 0)
        return false;
    VkLayerProperties *layers = g_new0(VkLayerProperties, n);
    bool found = false;
    if (vkEnumerateInstanceLayerProperties(&n, layers) >= VK_SUCCESS) {
        for (uint32_t i = 0; i < n && !found; i++)
            found = strcmp(layers[i].layerName, VALIDATION_LAYER) == 0;
    }
    g_free(layers);
    return found;
}

static bool create_instance(NervVk *vk, GError **error)
{
    static const char *const layers[] = { VALIDATION_LAYER };
    static const char *const extensions[] = { VK_EXT_DEBUG_UTILS_EXTENSION_NAME,
                                              VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME };
    static const VkValidationFeatureEnableEXT enables[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
    };
    uint32_t version = 0;
    vkEnumerateInstanceVersion(&version);
    if (version < VK_API_VERSION_1_2) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE,
                    "Vulkan: the loader is version %u.%u, this program needs 1.2",
                    VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));
        return false;
    }
    bool validate = wants_validation();
    if (validate && !has_validation_layer()) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE,
                    "Vulkan: NERV_VULKAN_VALIDATION is set, but the layer " VALIDATION_LAYER
                    " is not installed (Debian: vulkan-validationlayers)");
        return false;
    }
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        /* Not GENERAL: those are the loader's remarks on other drivers of the machine. */
        .messageType =
            VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_message,
    };
    VkValidationFeaturesEXT features = { .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                         .pNext = &messenger,
                                         .enabledValidationFeatureCount = G_N_ELEMENTS(enables),
                                         .pEnabledValidationFeatures = enables };
    VkApplicationInfo app = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                              .pApplicationName = "nerv",
                              .pEngineName = "nerv",
                              .apiVersion = VK_API_VERSION_1_2 };
    VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app };
    if (validate) {
        info.pNext = &features;
        info.enabledLayerCount = G_N_ELEMENTS(layers);
        info.ppEnabledLayerNames = layers;
        info.enabledExtensionCount = G_N_ELEMENTS(extensions);
        info.ppEnabledExtensionNames = extensions;
    }
    VkResult result = vkCreateInstance(&info, NULL, &vk->instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        g_set_error(
            error, NERV_ERROR, NERV_ERROR_DEVICE,
            "Vulkan: no driver found; install the GPU's Vulkan driver (Debian: mesa-vulkan-drivers, or "
            "nvidia-vulkan-icd)");
        return false;
    }
    if (!nerv_vk_check(vk, result, "create an instance", error))
        return false;
    if (validate) {
        PFN_vkCreateDebugUtilsMessengerEXT create = (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
            vk->instance, "vkCreateDebugUtilsMessengerEXT");
        if (!create || create(vk->instance, &messenger, NULL, &vk->messenger) != VK_SUCCESS) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE,
                        "Vulkan: cannot listen to the validation layer");
            return false;
        }
    }
    return true;
}

/* --- physical device --- */

/* All devices of the instance; NULL with *n == 0 if there are none. Free with g_free(). */
static VkPhysicalDevice *enumerate(VkInstance instance, uint32_t *n)
{
    *n = 0;
    if (vkEnumeratePhysicalDevices(instance, n, NULL) != VK_SUCCESS || *n == 0) {
        *n = 0;
        return NULL;
    }
    VkPhysicalDevice *devices = g_new0(VkPhysicalDevice, *n);
    if (vkEnumeratePhysicalDevices(instance, n, devices) < VK_SUCCESS)
        *n = 0;
    return devices;
}

static const char *type_name(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return "software";
    default:
        return "other";
    }
}

/* A family without graphics, if there is one, keeps long fits off the queue that draws the desktop. */
static bool find_queue_family(VkPhysicalDevice physical, uint32_t *family, uint32_t *timestamp_bits)
{
    uint32_t n = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &n, NULL);
    VkQueueFamilyProperties *families = g_new0(VkQueueFamilyProperties, n);
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &n, families);
    bool found = false, found_alone = false;
    for (uint32_t i = 0; i < n; i++) {
        if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) || families[i].queueCount == 0)
            continue;
        bool alone = !(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT);
        if (!found || (alone && !found_alone)) {
            *family = i;
            *timestamp_bits = families[i].timestampValidBits;
        }
        found = true;
        found_alone |= alone;
    }
    g_free(families);
    return found;
}

static VkDeviceSize local_bytes(VkPhysicalDevice physical)
{
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    VkDeviceSize most = 0;
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++) {
        if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
            most = MAX(most, memory.memoryHeaps[i].size);
    }
    return most;
}

/* The best hardware GPU: by type, then by memory. VK_NULL_HANDLE if there is none. */
static VkPhysicalDevice choose(const VkPhysicalDevice *devices, uint32_t n)
{
    VkPhysicalDevice best = VK_NULL_HANDLE;
    int best_rank = 0;
    VkDeviceSize best_bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        VkPhysicalDeviceProperties props;
        uint32_t family, timestamp_bits;
        vkGetPhysicalDeviceProperties(devices[i], &props);
        int rank = props.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU     ? 3
                   : props.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ? 2
                   : props.deviceType == VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU    ? 1
                                                                                : 0;
        if (rank == 0 || props.apiVersion < VK_API_VERSION_1_2 ||
            !find_queue_family(devices[i], &family, &timestamp_bits))
            continue;
        VkDeviceSize bytes = local_bytes(devices[i]);
        if (rank > best_rank || (rank == best_rank && bytes > best_bytes)) {
            best = devices[i];
            best_rank = rank;
            best_bytes = bytes;
        }
    }
    return best;
}

static bool pick_physical(NervVk *vk, int index, GError **error)
{
    uint32_t n;
    VkPhysicalDevice *devices = enumerate(vk->instance, &n);
    if (n == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE, "Vulkan: the driver offers no device");
    } else if (index < 0) {
        vk->physical = choose(devices, n);
        if (!vk->physical)
            g_set_error(
                error, NERV_ERROR, NERV_ERROR_DEVICE,
                "Vulkan: no hardware GPU with Vulkan 1.2 among %u device(s); a software driver is used only "
                "when named, e.g. vulkan:0",
                n);
    } else if ((uint32_t)index >= n) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE,
                    "Vulkan: there is no device %d, the driver offers %u (0..%u)", index, n, n - 1);
    } else {
        vk->physical = devices[index];
    }
    g_free(devices);
    return vk->physical != VK_NULL_HANDLE;
}

/* --- logical device --- */

static bool read_limits(NervVk *vk, GError **error)
{
    VkPhysicalDeviceProperties basic;
    vkGetPhysicalDeviceProperties(vk->physical, &basic);
    if (basic.apiVersion < VK_API_VERSION_1_2) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE,
                    "Vulkan: %s has Vulkan %u.%u, this program needs 1.2", basic.deviceName,
                    VK_API_VERSION_MAJOR(basic.apiVersion), VK_API_VERSION_MINOR(basic.apiVersion));
        return false;
    }
    VkPhysicalDeviceDriverProperties driver = { .sType =
                                                    VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES };
    VkPhysicalDeviceSubgroupProperties subgroup = { .sType =
                                                        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                                                    .pNext = &driver };
    VkPhysicalDeviceMaintenance3Properties maintenance = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &subgroup
    };
    VkPhysicalDeviceProperties2 props = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                          .pNext = &maintenance };
    vkGetPhysicalDeviceProperties2(vk->physical, &props);
    vkGetPhysicalDeviceMemoryProperties(vk->physical, &vk->memory);
    const VkPhysicalDeviceLimits *limits = &props.properties.limits;
    vk->limits = *limits;
    vk->identity = (NervVkIdentity){ .vendor = props.properties.vendorID,
                                     .device = props.properties.deviceID,
                                     .driver = (uint32_t)driver.driverID,
                                     .driver_version = props.properties.driverVersion };
    memcpy(vk->identity.uuid, props.properties.pipelineCacheUUID, sizeof(vk->identity.uuid));
    vk->max_allocation_bytes = maintenance.maxMemoryAllocationSize;
    for (int i = 0; i < 3; i++)
        vk->caps.max_groups[i] = limits->maxComputeWorkGroupCount[i];
    vk->caps.max_invocations = limits->maxComputeWorkGroupInvocations;
    vk->caps.shared_bytes = limits->maxComputeSharedMemorySize;
    vk->caps.subgroup_size = subgroup.subgroupSize;
    const bool is_software = props.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    vk->caps.is_software = is_software && g_strcmp0(g_getenv("NERV_VULKAN_TILES"), "gpu") != 0;
    for (int i = 0; i < NERV_MAX_OUT; i++)
        vk->caps.out_live[i] = true;
    const VkSubgroupFeatureFlags adds = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    vk->adds_in_subgroups = (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
                            (subgroup.supportedOperations & adds) == adds &&
                            g_strcmp0(g_getenv("NERV_VULKAN_SUBGROUPS"), "0") != 0;
    vk->base.is_software = is_software;
    vk->base.description =
        g_strdup_printf("Vulkan: %s (driver %s%s%s)", props.properties.deviceName, driver.driverName,
                        driver.driverInfo[0] ? " " : "", driver.driverInfo);
    return true;
}

/* The user asks for 16-bit floats and the device can store them. */
static bool wants_halves(VkPhysicalDevice physical)
{
    VkPhysicalDevice16BitStorageFeatures halves = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES
    };
    VkPhysicalDeviceFeatures2 features = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                           .pNext = &halves };
    if (g_strcmp0(g_getenv("NERV_VULKAN_FP16"), "1") != 0)
        return false;
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return halves.storageBuffer16BitAccess;
}

bool nerv_vk_device_init(NervVk *vk, int index, GError **error)
{
    static const float priority = 1.0f;
    uint32_t timestamp_bits = 0;

    if (!create_instance(vk, error) || !pick_physical(vk, index, error) || !read_limits(vk, error))
        return false;
    if (!find_queue_family(vk->physical, &vk->queue_family, &timestamp_bits)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE, "%s has no compute queue", vk->base.description);
        return false;
    }
    if (timestamp_bits)
        vk->timestamp_mask = timestamp_bits < 64 ? (UINT64_C(1) << timestamp_bits) - 1 : UINT64_MAX;
    VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                      .queueFamilyIndex = vk->queue_family,
                                      .queueCount = 1,
                                      .pQueuePriorities = &priority };
    VkPhysicalDevice16BitStorageFeatures halves = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES, .storageBuffer16BitAccess = VK_TRUE
    };
    vk->uses_halves = wants_halves(vk->physical);
    VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                .pNext = vk->uses_halves ? &halves : NULL,
                                .queueCreateInfoCount = 1,
                                .pQueueCreateInfos = &queue };
    if (!nerv_vk_check(vk, vkCreateDevice(vk->physical, &info, NULL, &vk->device), "open the device", error))
        return false;
    vkGetDeviceQueue(vk->device, vk->queue_family, 0, &vk->queue);
    return true;
}

/* 16-bit floats would be a feature that its owner had to enable. */
bool nerv_vk_device_wrap(NervVk *vk, const NervVulkanDevice *device, GError **error)
{
    uint32_t n = 0;
    vk->wrapped = *device;
    vk->instance = device->instance;
    vk->physical = device->physical;
    vk->device = device->device;
    vk->queue_family = device->queue_family;
    vk->queue = device->queue;
    if (!read_limits(vk, error))
        return false;
    vkGetPhysicalDeviceQueueFamilyProperties(vk->physical, &n, NULL);
    VkQueueFamilyProperties *families = g_new0(VkQueueFamilyProperties, n);
    vkGetPhysicalDeviceQueueFamilyProperties(vk->physical, &n, families);
    const bool computes =
        vk->queue_family < n && families[vk->queue_family].queueFlags & VK_QUEUE_COMPUTE_BIT;
    g_free(families);
    if (!computes)
        g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE, "%s: the queue is none for compute",
                    vk->base.description);
    return computes;
}

void nerv_vk_device_clear(NervVk *vk)
{
    if (vk->wrapped.device) {
        vk->device = VK_NULL_HANDLE;
        vk->instance = VK_NULL_HANDLE;
    }
    if (vk->device)
        vkDestroyDevice(vk->device, NULL);
    if (vk->messenger) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy =
            (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(vk->instance,
                                                                       "vkDestroyDebugUtilsMessengerEXT");
        if (destroy)
            destroy(vk->instance, vk->messenger, NULL);
    }
    if (vk->instance)
        vkDestroyInstance(vk->instance, NULL);
    g_clear_pointer(&vk->base.description, g_free);
    vk->device = VK_NULL_HANDLE;
    vk->messenger = VK_NULL_HANDLE;
    vk->instance = VK_NULL_HANDLE;
}

void nerv_vulkan_list(GString *out)
{
    NervVk vk = { 0 };
    uint32_t n = 0;
    if (create_instance(&vk, NULL)) {
        VkPhysicalDevice *devices = enumerate(vk.instance, &n);
        for (uint32_t i = 0; i < n; i++) {
            VkPhysicalDeviceProperties props;
            vkGetPhysicalDeviceProperties(devices[i], &props);
            g_string_append_printf(out, "vulkan:%u  %s (%s)\n", i, props.deviceName,
                                   type_name(props.deviceType));
        }
        g_free(devices);
    }
    nerv_vk_device_clear(&vk);
}
