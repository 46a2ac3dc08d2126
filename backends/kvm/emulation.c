/* What the emulator calls before every instruction: exact stops without a call into Python. */
#include "native.h"

void kdash_on_code(void *engine, uint64_t linear, uint32_t size, void *data) {
    struct kdash_emulation *emulation = data;

    (void)size;
    if (emulation->left == 0 ||
        (emulation->left < 0 && __atomic_load_n(&emulation->wanted, __ATOMIC_RELAXED))) {
        emulation->stop(engine);
        return;
    }
    emulation->left -= emulation->left > 0;
    emulation->linear = linear;
}
