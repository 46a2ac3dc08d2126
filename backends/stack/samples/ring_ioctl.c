/* gcc: -O2 -fno-omit-frame-pointer -fjump-tables
 *
 * A switch statement with a jump table, and inline assembly that pushes without popping on one
 * of its ways: the ways meet with different stacks.
 */
struct ring {
	unsigned int size, head, tail, flags;
};

extern int ring_resize(struct ring *ring, unsigned long size);
extern int ring_flush(struct ring *ring);

long ring_ioctl(struct ring *ring, unsigned int command, unsigned long value)
{
	switch (command) {
	case 0:
		return ring->size;
	case 1:
		return ring_resize(ring, value);
	case 2:
		return ring_flush(ring);
	case 3:
		asm volatile("testq %0, %0\n\t"
			     "jz 1f\n\t"
			     "pushq %0\n"
			     "1:" : : "r"(value) : "cc", "memory");
		return ring->head - ring->tail;
	case 4:
		ring->flags |= (unsigned int)value;
		return 0;
	case 5:
		return ring->flags & value;
	default:
		return -25;
	}
}
