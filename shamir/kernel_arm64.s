#include "textflag.h"

// The kernel goes over the elements once. For each step of 64 bytes, then of
// 16, it goes through all rows and keeps the sum in registers, so every byte of
// a row is loaded once and every byte of dst stored once. Only at the end the
// last 16 bytes are taken as a whole, though they may overlap those before:
// nothing past the slices is touched, and dst must hold 16 bytes. Branches and
// addresses depend on lengths and weights, never on elements.
//
// Registers:
//	R0, R1	dst, its length
//	R2	weights
//	R3, R4	headers of the rows, their number
//	R5	offset of the step
//	R6	last offset that leaves room for the step
//	R7, R8	header of the row, its number
//	R9	where the step begins in the row, then in dst
//	R10	products
//	R11	the weight, and its products
//	V0-V3	sum
//	V31	the low half of each byte

#define FIRST_ROW \
	MOVD R3, R7 \
	MOVD ZR, R8

#define NEXT_ROW \
	ADD $24, R7 \
	ADD $1, R8

// LOAD_PRODUCTS finds the row and puts what the weight makes of the low and of
// the high halves of elements into V4 and V5.
#define LOAD_PRODUCTS \
	MOVD  (R7), R9                 \
	ADD   R5, R9, R9               \
	MOVBU (R2)(R8), R11            \
	ADD   R11<<5, R10, R11         \
	VLD1  (R11), [V4.B16, V5.B16]

// NEON_ADD adds the 16 bytes in row, times the weight: the halves of each
// element pick from the registers V4 and V5.
#define NEON_ADD(row, high, sum) \
	VUSHR $4, row.B16, high.B16              \
	VAND  V31.B16, row.B16, row.B16          \
	VTBL  row.B16, [V4.B16], row.B16         \
	VTBL  high.B16, [V5.B16], high.B16       \
	VEOR  row.B16, sum.B16, sum.B16          \
	VEOR  high.B16, sum.B16, sum.B16

// func shuffleNEON(dst, weights []byte, rows [][]byte, products *[256][32]byte)
TEXT ·shuffleNEON(SB), NOSPLIT, $0-80
	MOVD  dst_base+0(FP), R0
	MOVD  dst_len+8(FP), R1
	MOVD  weights_base+24(FP), R2
	MOVD  rows_base+48(FP), R3
	MOVD  rows_len+56(FP), R4
	MOVD  products+72(FP), R10
	VMOVI $0x0f, V31.B16
	MOVD  ZR, R5
	SUB   $64, R1, R6

wide:
	CMP  R6, R5
	BGT  narrow
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	FIRST_ROW
	B    wideTest

wideRow:
	LOAD_PRODUCTS
	VLD1 (R9), [V16.B16, V17.B16, V18.B16, V19.B16]
	NEON_ADD(V16, V20, V0)
	NEON_ADD(V17, V21, V1)
	NEON_ADD(V18, V22, V2)
	NEON_ADD(V19, V23, V3)
	NEXT_ROW

wideTest:
	CMP  R4, R8
	BNE  wideRow
	ADD  R5, R0, R9
	VST1 [V0.B16, V1.B16, V2.B16, V3.B16], (R9)
	ADD  $64, R5
	B    wide

narrow:
	SUB $16, R1, R6

narrowStep:
	CMP  R1, R5
	BEQ  done
	CMP  R6, R5
	CSEL GT, R6, R5, R5
	VEOR V0.B16, V0.B16, V0.B16
	FIRST_ROW
	B    narrowTest

narrowRow:
	LOAD_PRODUCTS
	VLD1 (R9), [V16.B16]
	NEON_ADD(V16, V20, V0)
	NEXT_ROW

narrowTest:
	CMP  R4, R8
	BNE  narrowRow
	ADD  R5, R0, R9
	VST1 [V0.B16], (R9)
	ADD  $16, R5
	B    narrowStep

done:
	RET
