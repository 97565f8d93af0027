"""The completions, in real shells with a terminal: what is typed, a tab, and what stands in the line then."""
import os
import pty
import re
import select
import shutil
import signal
import sys
import tempfile
import time

import lint

WHERE = lint.BUILD / 'app/sluicectl/completion'
# Typed, and what the line becomes; a space behind a word that is whole.
ROWS = (
    ('sluicectl stat', 'sluicectl status '),
    ('sluicectl -s /nowhere rel', 'sluicectl -s /nowhere reload '),
    ('sluicectl queue de', 'sluicectl queue de'),  # delete, destinations
    ('sluicectl queue del', 'sluicectl queue delete '),
    ('sluicectl queue list --sen', 'sluicectl queue list --sender'),
    ('sluicectl queue list --json --sta', 'sluicectl queue list --json --state'),
    ('sluicectl queue hold --state hel', 'sluicectl queue hold --state held '),
    ('sluicectl log level war', 'sluicectl log level warn '),
    ('sluicectl config show --ch', 'sluicectl config show --changed '),
    ('sluicectl sources rel', 'sluicectl sources release '),
    ('sluicectl help queue rel', 'sluicectl help queue release '),
    ('sluicectl spool check DIR/ab', 'sluicectl spool check DIR/abyss/'),
)
LIMIT_S = 60


class Shell:
    """A shell behind a terminal. Its line is asked for by a key that it binds to printing it."""

    def __init__(self, argv, begin):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM='dumb', PS1='', HISTFILE='/dev/null')
            os.execvp(argv[0], argv)
        self.heard = b''
        self.send('stty -echo\n' + begin + "\necho rea''dy\n")
        self.wait(rb'ready\r?\n')

    def send(self, text):
        os.write(self.fd, text.encode())

    def wait(self, pattern):
        end = time.monotonic() + LIMIT_S
        while not (found := re.search(pattern, self.heard)):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise SystemExit(f'no {pattern} within {LIMIT_S} s: {self.heard[-400:]}')
            self.heard += os.read(self.fd, 4096)
        self.heard = self.heard[found.end():]
        return found

    def complete(self, typed):
        self.send(typed + '\t\x18p')  # Ctrl-X p: the line as it is, and a new one
        return self.wait(rb'<<<([^\n]*)>>>').group(1).decode()

    def end(self):
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def bash():
    return Shell(['bash', '--norc', '--noprofile', '-i'],
                 f"bind 'set show-all-if-ambiguous off'\nsource {WHERE}/sluicectl\n"
                 '''tell() { printf '\\n<%s<%s>>>\\n' '<' "$READLINE_LINE"; READLINE_LINE=; READLINE_POINT=0; }\n'''
                 '''bind -x '"\\C-xp": tell' ''')


def zsh(home):
    return Shell(['zsh', '-f', '-i'],
                 f"fpath=({WHERE} $fpath)\nautoload -Uz compinit\ncompinit -u -d {home}/dump\n"
                 "setopt no_beep no_auto_list no_auto_menu no_auto_remove_slash\n"
                 '''tell() { printf '\\n<%s<%s>>>\\n' '<' "$BUFFER"; BUFFER= }\n'''
                 "zle -N tell\nbindkey '^Xp' tell\nbindkey '^I' complete-word")


findings = []
with tempfile.TemporaryDirectory(prefix='sluice-completion-') as home:
    os.mkdir(f'{home}/abyss')
    for name, start in (('bash', bash), ('zsh', lambda: zsh(home))):
        if shutil.which(name) is None:
            lint.skip(f'{name} is not installed')
        shell = start()
        for typed, wanted in ROWS:
            typed, wanted = typed.replace('DIR', home), wanted.replace('DIR', home)
            became = shell.complete(typed)
            # Behind an option that wants a value a shell may put a space, or an equals sign.
            if became.rstrip(' =') != wanted.rstrip() or (wanted.endswith(' ') and became != wanted):
                findings.append(f'{name}: {typed!r} becomes {became!r}, not {wanted!r}')
        shell.end()
for finding in findings:
    print(finding)
sys.exit(1 if findings else 0)
