/* Words that are plain parameters of every kind in model_spatial.c: small shifts and zeros, then multipliers and bounds;
 * those of a second statistic behind them. */
    .section .rodata.sr_data,"a",%progbits
    .balign 64
    .globl sr_data
sr_data:
    .long 3, 7, 5, 9
    .float 0.03, 0.05, 0.07, -100.0, -90.0, -80.0, 100.0, 120.0, 90.0
    .zero 20
    .long 3, 7, 5
    .float 0.02, 0.06, 0.04, -100.0, -90.0, -80.0, 110.0, 120.0, 90.0
    .zero 40
    .globl sr_data_end
sr_data_end:
    .zero 64
    .globl sr_manifest
    .globl sr_manifest_end
sr_manifest:
    .ascii "{}"
sr_manifest_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
