/* gcc: -O2 -fno-omit-frame-pointer -momit-leaf-frame-pointer
 *
 * A serial driver's interrupt handler. fifo_kick() calls from inline assembly without telling
 * the compiler, which takes it for a leaf function and leaves the frame out.
 */
struct port {
	volatile unsigned int *regs;
	unsigned int irq, overruns;
	unsigned char ring[64];
	unsigned int head;
};

extern void port_wake(struct port *port);
extern void port_log(struct port *port, const char *text);
extern int port_resync(struct port *port);

void fifo_kick(struct port *port)
{
	port->regs[2] = 1;
	asm volatile("call fifo_delay" : : : "rax", "rcx", "memory");
}

static void receive(struct port *port, unsigned int status)
{
	while (status & 1) {
		port->ring[port->head++ & 63] = (unsigned char)port->regs[0];
		status = port->regs[1];
	}
	port_wake(port);
}

int uart_irq(int irq, struct port *port)
{
	unsigned int status = port->regs[1];

	if (!(status & 0xf))
		return 0;
	if (status & 2) {
		port->overruns++;
		port_log(port, "overrun");
		if (port_resync(port))
			return irq;
	}
	receive(port, status);
	return 1;
}
