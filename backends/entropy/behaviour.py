"""How the generator behaves: what tells its era, and whether it is seeded."""

from __future__ import annotations

import errno
from dataclasses import replace

from kdash.backends.entropy import era as eras
from kdash.backends.entropy.facts import Era
from kdash.backends.entropy.procfs import Root, Unavailable
from kdash.backends.entropy.system import GRND_INSECURE, GRND_NONBLOCK, System


class Behaviour:
    """Asks the generator, and remembers what it was seen to do."""

    def __init__(self, root: Root, system: System) -> None:
        self._root = root
        self._system = system
        self._fell_when_ready = False
        #: Of the kernel's own generator, whoever serves /dev/random.
        self.own_era = Era.UNKNOWN

    def ready(self, poolsize: int | None) -> bool:
        """Whether getrandom would answer at once; 0 bytes are asked where bytes are debited.

        Raises:
            Unavailable: The call is refused.
            OSError: There is no such call.
        """
        nbytes = 1 if poolsize == eras.MODERN_POOL_BITS else 0
        try:
            self._system.getrandom(nbytes, GRND_NONBLOCK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ENOSYS:
                raise
            raise Unavailable(f"getrandom is refused: {error.strerror}") from None
        return True

    def era(
        self,
        poolsize: int | None,
        avail: int | None,
        ready: bool | None,
        read_wakeup: bool,
        vdso_getrandom: bool,
    ) -> Era:
        """The era, from what was read and from what is asked here."""
        if ready and avail is not None and poolsize == eras.MODERN_POOL_BITS > avail:
            self._fell_when_ready = True
        getrandom, insecure = self._getrandom_traits()
        traits = eras.Traits(
            poolsize=poolsize,
            read_wakeup_threshold=read_wakeup,
            getrandom=getrandom,
            insecure_flag=insecure,
            vdso_getrandom=vdso_getrandom,
            fell_when_ready=self._fell_when_ready,
            lrng=self._root.exists("proc/lrng_type"),
            random_device=self.random_device(),
        )
        self.own_era = eras.era_of(replace(traits, random_device=None))
        return eras.era_of(traits)

    def random_device(self) -> tuple[int, int] | None:
        """Major and minor of /dev/random; None where it can't be seen."""
        try:
            return self._system.device(self._root.path("dev/random"))
        except OSError:
            return None

    def entropy_count(self) -> int:
        """Bits as the kernel's own /dev/random tells them through RNDGETENTCNT.

        Raises:
            Unavailable: That device is another, or tells no number.
            OSError: It can't be asked.
        """
        device = self.random_device()
        if device != eras.RANDOM_DEVICE:
            raise Unavailable(
                "/dev/random can't be seen" if device is None else "/dev/random is another device"
            )
        count = self._system.entropy_count()
        if not 0 <= count <= eras.MOST_BITS:
            raise Unavailable(eras.NO_PLAUSIBLE_NUMBER)
        return count

    def _getrandom_traits(self) -> tuple[bool | None, bool | None]:
        """Whether there is getrandom(2), and whether it takes GRND_INSECURE."""
        try:
            self._system.getrandom(0, GRND_INSECURE)
        except OSError as error:
            if error.errno == errno.ENOSYS:
                return False, False
            return (True, False) if error.errno == errno.EINVAL else (None, None)
        return True, True
