"""File systems of a test's own, on loop devices, and what can happen to them."""
import array
import fcntl
import os
import re
import struct

from harness import Failed, Skip, check, run, wait_until

EXT4_IOC_SHUTDOWN = 0x8004587d
LOOP_SET_STATUS64, LOOP_GET_STATUS64, LOOP_INFO_BYTES, SIZE_LIMIT_AT = 0x4c04, 0x4c05, 232, 32


class LoopDisk:
    """An ext4 of its own in a file."""

    def __init__(self, lab, name, size, *options):
        self.image, self.mount = lab.path(name + '.img'), lab.path(name)
        with open(self.image, 'wb') as f:
            f.truncate(size)
        run('mkfs.ext4', '-q', '-F', '-m', '0', *options, self.image)
        os.mkdir(self.mount)
        try:
            self.device = self.attach()
        except Failed as why:
            raise Skip(f'no loop device: {why}') from None
        lab.at_end(self.close)
        self.up()

    def attach(self):
        """With direct I/O where the host's file system can do it."""
        try:
            return run('losetup', '--direct-io=on', '-f', '--show', self.image).strip()
        except Failed:
            return run('losetup', '-f', '--show', self.image).strip()

    def up(self):
        run('mount', '-t', 'ext4', '-o', 'errors=remount-ro', self.device, self.mount)

    def down(self):
        def gone():
            return run('umount', self.mount, ok=None) == ''
        wait_until(gone, 30, 'unmounted')

    def close(self):
        self.go_on()
        run('umount', '-l', self.mount, ok=None)
        run('losetup', '-d', self.device, ok=None)

    def fill(self):
        """Takes all room, in a file beside the spool; its path."""
        path = os.path.join(self.mount, 'other')
        with open(path, 'wb') as f:
            try:
                while True:
                    f.write(bytes(1 << 20))
                    f.flush()
            except OSError:
                pass
        return path

    def shutdown(self, flags):
        fd = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, array.array('I', [flags]))
        finally:
            os.close(fd)

    def fail(self):
        """An error of the file system itself: it is read-only from now on, until it is mounted anew."""
        with open(f'/sys/fs/ext4/{os.path.basename(self.device)}/trigger_fs_error', 'w') as f:
            f.write('test')

    def pause(self):
        """Whatever is written waits from now on."""
        run('fsfreeze', '-f', self.mount)

    def go_on(self):
        run('fsfreeze', '-u', self.mount, ok=None)

    def first_block(self, folder):
        """The byte of the device before which no file of the folder lies."""
        first = []
        for name in os.listdir(folder):
            text = run('filefrag', '-b4096', '-v', os.path.join(folder, name))
            first += [int(n) for n in re.findall(r'^ *\d+: +\d+\.\. *\d+: +(\d+)\.\.', text, re.MULTILINE)]
        check(first, f'filefrag tells nothing of {folder}')
        return min(first) * 4096

    def cut_at(self, limit):
        """The device ends at this byte from now on; 0: where it did."""
        fd = os.open(self.device, os.O_RDWR)
        try:
            info = bytearray(LOOP_INFO_BYTES)
            fcntl.ioctl(fd, LOOP_GET_STATUS64, info)
            struct.pack_into('<Q', info, SIZE_LIMIT_AT, limit)
            fcntl.ioctl(fd, LOOP_SET_STATUS64, info)
        finally:
            os.close(fd)
