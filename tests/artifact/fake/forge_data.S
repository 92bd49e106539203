/* Data and manifest of forge.c, writable there. */
    .data
    .balign 64
    .globl sr_data
    .globl forge_data
    .globl sr_data_end
sr_data:
forge_data:
    .zero 256
sr_data_end:
    .zero 64
    .globl sr_manifest
    .globl forge_manifest
    .globl sr_manifest_end
sr_manifest:
forge_manifest:
    .zero 127
sr_manifest_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
