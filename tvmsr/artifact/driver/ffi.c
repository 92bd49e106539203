/* TVM-FFI entry: tvm.runtime.load_module("sr.so")["sr_upscale"](in, out), here or through a stock TVM RPC server.
 *
 * Tensors are uint8, (H, W) or (H, W, 3 or 4), in this process's memory. The calling convention is TVM-FFI's: an argument
 * is a type, padding and 8 bytes of value; type 7 is a DLTensor, type 70 an object with a DLTensor behind its header.
 */
#if defined(__APPLE__)
#include <dlfcn.h>
#endif
#include <stdatomic.h>
#include <string.h>

#include "session.h"
#include "small.h"

SR_SMALL

enum { FFI_DLTENSOR = 7, FFI_TENSOR_OBJECT = 70, FFI_OBJECT_HEADER = 24, DL_CPU = 1, DL_UINT = 1 };

typedef struct ffi_any {
    int32_t type;
    uint32_t padding;
    union {
        int64_t number;
        unsigned char *pointer;
    } value;
} ffi_any;

typedef struct dl_tensor {
    void *data;
    int32_t device_type;
    int32_t device_id;
    int32_t ndim;
    uint8_t type_code;
    uint8_t type_bits;
    uint16_t type_lanes;
    int64_t *shape;
    int64_t *strides; /* in elements; NULL: contiguous */
    uint64_t byte_offset;
} dl_tensor;

/* NULL where no TVM runtime is in the process; nobody calls us there. */
typedef void (*raise_function)(const char *kind, const char *message);

#if defined(__APPLE__)
/* There a linker wants to know which library a name may come from. */
static raise_function raiser(void) { return (raise_function)dlsym(RTLD_DEFAULT, "TVMFFIErrorSetRaisedFromCStr"); }
#else
extern void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message) __attribute__((weak));

static raise_function raiser(void) { return TVMFFIErrorSetRaisedFromCStr; }
#endif

/* The session between calls; a call takes it out, so that calls at once get sessions of their own. */
static _Atomic(tvmsr_session *) idle;

static int raise_error(const char *message) {
    const raise_function raise = raiser();
    if (raise != NULL) raise("RuntimeError", message);
    return -1;
}

static const dl_tensor *tensor_of(const ffi_any *argument) {
    if (argument->type == FFI_DLTENSOR) return (const dl_tensor *)(void *)argument->value.pointer;
    if (argument->type == FFI_TENSOR_OBJECT) return (const dl_tensor *)(void *)(argument->value.pointer + FFI_OBJECT_HEADER);
    return NULL;
}

/* NULL, or why the tensor is no picture. */
static const char *picture_of(const dl_tensor *tensor, tvmsr_picture *picture) {
    memset(picture, 0, sizeof *picture);
    if (tensor == NULL) return "sr_upscale takes two tensors, input and output";
    if (tensor->device_type != DL_CPU) return "sr_upscale takes tensors in CPU memory";
    if (tensor->type_code != DL_UINT || tensor->type_bits != 8 || tensor->type_lanes != 1) return "tensors must be uint8";
    if (tensor->ndim != 2 && tensor->ndim != 3) return "tensors must be (H, W) or (H, W, C)";
    const int64_t channels = tensor->ndim == 3 ? tensor->shape[2] : 1;
    const int64_t *shape = tensor->shape, *strides = tensor->strides;
    if (channels != 1 && channels != 3 && channels != 4) return "tensors must have 1, 3 or 4 channels";
    if (shape[0] > INT32_MAX || shape[1] > INT32_MAX) return "the picture is too large";
    if (strides != NULL && (strides[1] != channels || (tensor->ndim == 3 && strides[2] != 1))) {
        return "pixels must lie one after the other";
    }
    picture->format = channels == 1 ? TVMSR_GRAY : channels == 3 ? TVMSR_RGB : TVMSR_RGBA;
    picture->height = (int32_t)shape[0];
    picture->width = (int32_t)shape[1];
    picture->planes[0] = (uint8_t *)tensor->data + tensor->byte_offset;
    picture->strides[0] = strides != NULL ? (ptrdiff_t)strides[0] : (ptrdiff_t)(shape[1] * channels);
    return NULL;
}

SR_API int __tvm_ffi_sr_upscale(void *self, const ffi_any *arguments, int32_t count, ffi_any *result);

SR_API int __tvm_ffi_sr_upscale(void *self, const ffi_any *arguments, int32_t count, ffi_any *result) {
    (void)self;
    tvmsr_picture pictures[2];
    if (count != 2) return raise_error("sr_upscale takes two tensors, input and output");
    for (int i = 0; i < 2; i++) {
        const char *wrong = picture_of(tensor_of(&arguments[i]), &pictures[i]);
        if (wrong != NULL) return raise_error(wrong);
    }
    char text[256];
    tvmsr_session *session = atomic_exchange(&idle, NULL);
    if (session == NULL && TVMSR_FN(open)(NULL, &session) != TVMSR_OK) {
        TVMSR_FN(open_error)(text, sizeof text);
        return raise_error(text);
    }
    const tvmsr_status status = TVMSR_FN(upscale)(session, &pictures[0], &pictures[1], NULL, NULL);
    memcpy(text, TVMSR_FN(error)(session), sizeof text - 1);
    text[sizeof text - 1] = '\0';
    tvmsr_session *expected = NULL;
    if (!atomic_compare_exchange_strong(&idle, &expected, session)) TVMSR_FN(close)(session);
    if (status != TVMSR_OK) return raise_error(text);
    memset(result, 0, sizeof *result); /* None */
    return 0;
}

__attribute__((destructor)) static void close_idle(void) { TVMSR_FN(close)(atomic_exchange(&idle, NULL)); }

SR_SMALL_END
