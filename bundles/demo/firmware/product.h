/* What the updater can read about this product out of its flash. */
#ifndef PRODUCT_H
#define PRODUCT_H

#include <stdint.h>

/* Little-endian, without gaps: 44 bytes at 0x08000400. */
struct product_header {
    char magic[4]; /* "FWID" */
    uint16_t schema;
    uint16_t length;
    char product[16];
    char hardware[8];
    uint16_t version[4]; /* major, minor, patch, 0 */
    uint32_t security_counter;
};
_Static_assert(sizeof(struct product_header) == 44, "the product header is 44 bytes long");

/* Two notes for a loudspeaker, signed 16-bit. It carries the version, because on the
 * STM32H743 it is a segment of its own, and an interrupted update could leave old sound beside new code. */
struct voice {
    char magic[4]; /* "VOIC" */
    uint16_t version[4];
    uint32_t count;
    int16_t samples[];
};

extern const struct product_header product_header;
extern const struct voice voice;

#endif
