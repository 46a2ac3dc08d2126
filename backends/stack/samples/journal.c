/* gcc: -O2
 *
 * A file system's error path. journal_abort() never returns, and the compiler knows; a validator
 * that doesn't sees journal_write() run into the next function.
 */
struct journal {
	unsigned long sequence, committed;
	int error;
};

extern void journal_abort(struct journal *journal, int error) __attribute__((noreturn));
extern int block_write(unsigned long block);

int journal_write(struct journal *journal, unsigned long block)
{
	int error = block_write(block);

	if (!error) {
		journal->sequence++;
		return 0;
	}
	journal->error = error;
	journal_abort(journal, error);
}

unsigned long journal_pending(const struct journal *journal)
{
	return journal->sequence - journal->committed;
}
