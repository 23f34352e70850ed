#include "textflag.h"

// Both kernels go over the elements once. For each step of 128 bytes, then of
// 32, they go through all rows and keep the sum in registers, so every byte of
// a row is loaded once and every byte of dst stored once. Only at the end the
// last 32 bytes are taken as a whole, though they may overlap those before:
// nothing past the slices is touched, and dst must hold 32 bytes. Branches and
// addresses depend on lengths and weights, never on elements.
//
// Registers:
//	DI, DX	dst, its length
//	SI	weights
//	R8, CX	headers of the rows, their number
//	AX	offset of the step
//	R9	last offset that leaves room for the step
//	R10, BX	header of the row, its number
//	R11	the row
//	Y0-Y3	sum

#define FIRST_ROW \
	MOVQ R8, R10 \
	XORL BX, BX

#define NEXT_ROW \
	ADDQ $24, R10 \
	INCQ BX

#define CLEAR_SUM \
	VPXOR Y0, Y0, Y0 \
	VPXOR Y1, Y1, Y1 \
	VPXOR Y2, Y2, Y2 \
	VPXOR Y3, Y3, Y3

#define STORE_SUM \
	VMOVDQU Y0, (DI)(AX*1)   \
	VMOVDQU Y1, 32(DI)(AX*1) \
	VMOVDQU Y2, 64(DI)(AX*1) \
	VMOVDQU Y3, 96(DI)(AX*1)

// GFNI_ADD adds 32 bytes of the row, times the weight in Y4.
#define GFNI_ADD(offset, sum) \
	VGF2P8MULB offset(R11)(AX*1), Y4, Y5 \
	VPXOR      Y5, sum, sum

// func sumGFNI(dst, weights []byte, rows [][]byte)
//
// GF2P8MULB multiplies modulo 0x11B, so it does all there is to do.
TEXT ·sumGFNI(SB), NOSPLIT, $0-72
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), DX
	MOVQ weights_base+24(FP), SI
	MOVQ rows_base+48(FP), R8
	MOVQ rows_len+56(FP), CX
	XORL AX, AX
	LEAQ -128(DX), R9

wide:
	CMPQ AX, R9
	JGT  narrow
	CLEAR_SUM
	FIRST_ROW
	JMP  wideTest

wideRow:
	MOVQ         (R10), R11
	VPBROADCASTB (SI)(BX*1), Y4
	GFNI_ADD(0, Y0)
	GFNI_ADD(32, Y1)
	GFNI_ADD(64, Y2)
	GFNI_ADD(96, Y3)
	NEXT_ROW

wideTest:
	CMPQ BX, CX
	JNE  wideRow
	STORE_SUM
	ADDQ $128, AX
	JMP  wide

narrow:
	LEAQ -32(DX), R9

narrowStep:
	CMPQ    AX, DX
	JEQ     done
	CMPQ    AX, R9
	CMOVQGT R9, AX
	VPXOR   Y0, Y0, Y0
	FIRST_ROW
	JMP     narrowTest

narrowRow:
	MOVQ         (R10), R11
	VPBROADCASTB (SI)(BX*1), Y4
	GFNI_ADD(0, Y0)
	NEXT_ROW

narrowTest:
	CMPQ    BX, CX
	JNE     narrowRow
	VMOVDQU Y0, (DI)(AX*1)
	ADDQ    $32, AX
	JMP     narrowStep

done:
	VZEROUPPER
	RET

// LOAD_PRODUCTS puts what the weight makes of the low and of the high halves
// of elements into Y4 and Y5, once in each lane of 16 bytes.
#define LOAD_PRODUCTS \
	MOVBLZX        (SI)(BX*1), R13      \
	SHLQ           $5, R13              \
	VBROADCASTI128 (R12)(R13*1), Y4     \
	VBROADCASTI128 16(R12)(R13*1), Y5

// AVX2_ADD adds 32 bytes of the row, times the weight: the halves of each
// element, masked by Y6, pick from the registers Y4 and Y5.
#define AVX2_ADD(offset, sum) \
	VMOVDQU offset(R11)(AX*1), Y7 \
	VPSRLQ  $4, Y7, Y8            \
	VPAND   Y6, Y7, Y7            \
	VPAND   Y6, Y8, Y8            \
	VPSHUFB Y7, Y4, Y7            \
	VPSHUFB Y8, Y5, Y8            \
	VPXOR   Y7, sum, sum          \
	VPXOR   Y8, sum, sum

// func shuffleAVX2(dst, weights []byte, rows [][]byte, products *[256][32]byte)
TEXT ·shuffleAVX2(SB), NOSPLIT, $0-80
	MOVQ         dst_base+0(FP), DI
	MOVQ         dst_len+8(FP), DX
	MOVQ         weights_base+24(FP), SI
	MOVQ         rows_base+48(FP), R8
	MOVQ         rows_len+56(FP), CX
	MOVQ         products+72(FP), R12
	MOVL         $0x0f, R13
	VMOVD        R13, X6
	VPBROADCASTB X6, Y6
	XORL         AX, AX
	LEAQ         -128(DX), R9

wide:
	CMPQ AX, R9
	JGT  narrow
	CLEAR_SUM
	FIRST_ROW
	JMP  wideTest

wideRow:
	MOVQ (R10), R11
	CMPB (SI)(BX*1), $1
	JEQ  wideOne
	LOAD_PRODUCTS
	AVX2_ADD(0, Y0)
	AVX2_ADD(32, Y1)
	AVX2_ADD(64, Y2)
	AVX2_ADD(96, Y3)

wideNext:
	NEXT_ROW

wideTest:
	CMPQ BX, CX
	JNE  wideRow
	STORE_SUM
	ADDQ $128, AX
	JMP  wide

// Multiplying by 1 is adding; every first term of a split has this weight.
wideOne:
	VPXOR (R11)(AX*1), Y0, Y0
	VPXOR 32(R11)(AX*1), Y1, Y1
	VPXOR 64(R11)(AX*1), Y2, Y2
	VPXOR 96(R11)(AX*1), Y3, Y3
	JMP   wideNext

narrow:
	LEAQ -32(DX), R9

narrowStep:
	CMPQ    AX, DX
	JEQ     done
	CMPQ    AX, R9
	CMOVQGT R9, AX
	VPXOR   Y0, Y0, Y0
	FIRST_ROW
	JMP     narrowTest

narrowRow:
	MOVQ (R10), R11
	LOAD_PRODUCTS
	AVX2_ADD(0, Y0)
	NEXT_ROW

narrowTest:
	CMPQ    BX, CX
	JNE     narrowRow
	VMOVDQU Y0, (DI)(AX*1)
	ADDQ    $32, AX
	JMP     narrowStep

done:
	VZEROUPPER
	RET

// func hasGFNI() bool
TEXT ·hasGFNI(SB), NOSPLIT, $0-1
	MOVL $7, AX
	XORL CX, CX
	CPUID
	SHRL $8, CX
	ANDL $1, CX
	MOVB CX, ret+0(FP)
	RET
