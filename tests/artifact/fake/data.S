/* What tvmsr/artifact/link.py makes for an artifact: data, manifest. */
    .section .rodata.sr_data,"a",%progbits
    .balign 64
    .globl sr_data
sr_data:
    .long 3
    .long 200
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
