#include "product.h"

__attribute__((section(".product_header"), used)) const struct product_header product_header = {
    .magic = {'F', 'W', 'I', 'D'},
    .schema = 1,
    .length = sizeof(struct product_header),
    .product = PRODUCT,
    .hardware = "A",
    .version = {MAJOR, MINOR, PATCH, 0},
    .security_counter = 1,
};
