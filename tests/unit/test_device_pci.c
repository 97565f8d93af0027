/* app/sluiced/device_pci: addresses as they are written, and a directory made as sysfs has it. */
#include "unit.h"

#include "device_pci.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[PATH_MAX];

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *device, *name; /* NULL: none */
    } rows[] = {
        {"0000:03:00.0", "0000:03:00.0"},
        {"03:00.0", "0000:03:00.0"},
        {"0000:AF:1f.7", "0000:af:1f.7"},
        {"0001:00:10.1,queues=2", "0001:00:10.1"},
        {"10:00.0,x=1", "0000:10:00.0"},
        {"net_tap0,iface=gw0", NULL},
        {"0000:03:00.8", NULL},
        {"0000:03:00", NULL},
        {"03:00.0x", NULL},
        {"0000:03:00.0 ", NULL},
        {"eth0", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        char name[DEVICE_PCI_NAME_CAP] = "";
        assert_int_equal(device_pci_name(rows[i].device, name), rows[i].name != NULL);
        if (rows[i].name != NULL)
            assert_string_equal(name, rows[i].name);
    }
}

static void make_directory(const char *name)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* A card with a driver, NULL for none, and an interface of the kernel, or NULL. */
static void make_card(const char *name, const char *driver, const char *interface)
{
    char path[PATH_MAX + 128], target[128];

    make_directory(name);
    if (driver != NULL) {
        snprintf(path, sizeof(path), "%s/%s/driver", root, name);
        snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver);
        assert_int_equal(symlink(target, path), 0);
    }
    if (interface == NULL)
        return;
    snprintf(path, sizeof(path), "%s/net", name);
    make_directory(path);
    snprintf(path, sizeof(path), "%s/net/%s", name, interface);
    make_directory(path);
}

static void cards(void **state)
{
    (void)state;
    static const struct {
        const char *name, *driver, *interface;
        int error;
        const char *says;
        bool uio;
    } rows[] = {
        {"0000:01:00.0", "vfio-pci", NULL, 0, "", false},
        {"0000:02:00.0", "uio_pci_generic", NULL, 0, "", true},
        {"0000:03:00.0", "igb_uio", NULL, 0, "", true},
        {"0000:04:00.0", "e1000e", "eth0", -EBUSY, "as eth0 (driver e1000e)", false},
        {"0000:05:00.0", "virtio-pci", NULL, -EBUSY, "the kernel's (driver virtio-pci)", false},
        {"0000:06:00.0", "mlx5_core", "eth1", 0, "", false},
        {"0000:07:00.0", NULL, NULL, -ENODEV, "--bind=vfio-pci 0000:07:00.0", false},
    };
    char err[320];

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        make_card(rows[i].name, rows[i].driver, rows[i].interface);
        err[0] = 0;
        assert_int_equal(device_pci_check(root, rows[i].name, err, sizeof(err)), rows[i].error);
        assert_non_null(strstr(err, rows[i].says));
        assert_int_equal(device_pci_is_uio(root, rows[i].name), rows[i].uio);
    }
    assert_int_equal(device_pci_check(root, "0000:09:00.0", err, sizeof(err)), -ENODEV);
    assert_non_null(strstr(err, "no PCI device 0000:09:00.0"));
    assert_false(device_pci_is_uio(root, "0000:09:00.0"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(cards),
    };
    char template[] = "/tmp/sluice-device-XXXXXX", command[PATH_MAX + 16];

    if (mkdtemp(template) == NULL)
        return 1;
    snprintf(root, sizeof(root), "%s", template);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command) != 0 || failed;
}
