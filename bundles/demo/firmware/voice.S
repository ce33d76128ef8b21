/* Two notes, computed by the assembler, so that the same source is the same bytes with every C library.
 * Half a sine wave by Bhaskara I's approximation, in integers: sin(pi k/n) = 16 k(n-k) / (5 n^2 - 4 k(n-k)). */

.macro half_wave steps, amplitude
    .set k, 0
    .rept \steps
        .2byte (16 * (\amplitude) * k * (\steps - k)) / (5 * \steps * \steps - 4 * k * (\steps - k))
        .set k, k + 1
    .endr
.endm

.macro note half_period, waves
    .rept \waves
        half_wave \half_period, 8192
        half_wave \half_period, -8192
    .endr
.endm

    .section .voice, "a", %progbits
    .balign 4
    .global voice
    .type voice, %object
voice:
    .ascii "VOIC"
    .2byte MAJOR, MINOR, PATCH, 0
    .4byte (samples_end - samples) / 2
samples:
    note 32, (16 * VOICE_LENGTH)        /* 250 Hz at 16,000 samples a second */
#if MINOR == 0
    note 40, (16 * VOICE_LENGTH)        /* 200 Hz */
#else
    note 20, (32 * VOICE_LENGTH)        /* 400 Hz, as long: the release that turned the second note upwards */
#endif
samples_end:
    .size voice, . - voice
