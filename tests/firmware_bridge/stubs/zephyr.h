/* zephyr.h: as much of Zephyr 3.7's API as the example uses, to compile it; nothing runs. */
#ifndef STUB_ZEPHYR_H
#define STUB_ZEPHYR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONFIG_BT_DEVICE_NAME "leadlift"
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n) (1u << (n))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* Kernel */
typedef long atomic_t;
typedef long atomic_val_t;
typedef struct {
    int64_t ticks;
} k_timeout_t;
struct k_sem {
    int unused;
};
struct k_msgq {
    int unused;
};
#define K_NO_WAIT ((k_timeout_t){0})
#define K_MSEC(ms) ((k_timeout_t){ms})
#define K_SEM_DEFINE(name, initial, limit) static struct k_sem name = {(initial) + (limit)}
#define K_MSGQ_DEFINE(name, size, length, align) static struct k_msgq name = {(int)(size) * (length) * (align)}
atomic_val_t atomic_set(atomic_t *target, atomic_val_t value);
atomic_val_t atomic_get(const atomic_t *target);
atomic_val_t atomic_inc(atomic_t *target);
int k_sem_take(struct k_sem *sem, k_timeout_t timeout);
void k_sem_give(struct k_sem *sem);
int k_msgq_put(struct k_msgq *queue, const void *data, k_timeout_t timeout);
int k_msgq_get(struct k_msgq *queue, void *data, k_timeout_t timeout);
int64_t k_uptime_get(void);
int64_t k_uptime_ticks(void);
uint64_t k_ticks_to_us_floor64(uint64_t ticks);
void sys_rand_get(void *to, size_t n);

/* GPIO and SPI */
struct device;
struct gpio_callback {
    int unused;
};
struct gpio_dt_spec {
    const struct device *port;
    uint8_t pin;
};
typedef void (*gpio_callback_handler_t)(const struct device *port, struct gpio_callback *callback, uint32_t pins);
struct spi_dt_spec {
    int unused;
};
struct spi_buf {
    void *buf;
    size_t len;
};
struct spi_buf_set {
    const struct spi_buf *buffers;
    size_t count;
};
#define DT_ALIAS(name) name
#define DT_NODELABEL(name) name
#define GPIO_DT_SPEC_GET(node, property) {NULL, 0}
#define SPI_DT_SPEC_GET(node, operation, delay) {(operation) + (delay)}
#define SPI_WORD_SET(bits) (bits)
#define GPIO_INPUT 1
#define GPIO_INT_EDGE_TO_ACTIVE 2
int gpio_pin_configure_dt(const struct gpio_dt_spec *pin, int flags);
int gpio_pin_interrupt_configure_dt(const struct gpio_dt_spec *pin, int flags);
void gpio_init_callback(struct gpio_callback *callback, gpio_callback_handler_t handler, uint32_t pins);
int gpio_add_callback(const struct device *port, struct gpio_callback *callback);
int spi_transceive_dt(const struct spi_dt_spec *spec, const struct spi_buf_set *tx, const struct spi_buf_set *rx);

/* Bluetooth */
struct bt_conn;
struct bt_gatt_attr {
    int unused;
};
struct bt_uuid {
    uint8_t type;
};
struct bt_uuid_128 {
    struct bt_uuid uuid;
    uint64_t parts[2];
};
struct bt_data {
    uint8_t type;
    const void *data;
};
struct bt_gatt_service_static {
    const struct bt_gatt_attr *attrs;
};
struct bt_conn_cb {
    void (*connected)(struct bt_conn *conn, uint8_t error);
    void (*disconnected)(struct bt_conn *conn, uint8_t reason);
};
typedef ssize_t (*stub_read_t)(struct bt_conn *, const struct bt_gatt_attr *, void *, uint16_t, uint16_t);
typedef ssize_t (*stub_write_t)(struct bt_conn *, const struct bt_gatt_attr *, const void *, uint16_t, uint16_t,
                                uint8_t);
typedef void (*stub_ccc_t)(const struct bt_gatt_attr *, uint16_t);
struct stub_attribute {
    const struct bt_uuid *uuid;
    int flags;
    stub_read_t read;
    stub_write_t write;
    stub_ccc_t ccc;
};
#define BT_UUID_128_ENCODE(a, b, c, d, e) ((uint64_t)(a) << 32 | (b) << 16 | (c)), ((uint64_t)(d) << 48 | (e))
#define BT_UUID_INIT_128(...) {{2}, {__VA_ARGS__}}
#define BT_DATA_BYTES(kind, ...) {(kind), (const uint64_t[]){__VA_ARGS__}}
#define BT_DATA(kind, bytes, n) {(uint8_t)((kind) + 0 * (n)), (bytes)}
#define BT_DATA_FLAGS 1
#define BT_DATA_UUID128_ALL 7
#define BT_DATA_NAME_COMPLETE 9
#define BT_LE_AD_GENERAL 2
#define BT_LE_AD_NO_BREDR 4
#define BT_LE_ADV_CONN NULL
#define BT_GATT_CCC_NOTIFY 1
#define BT_GATT_CHRC_READ 2
#define BT_GATT_CHRC_WRITE_WITHOUT_RESP 4
#define BT_GATT_CHRC_WRITE 8
#define BT_GATT_CHRC_NOTIFY 16
#define BT_GATT_PERM_NONE 0
#define BT_GATT_PERM_READ 1
#define BT_GATT_PERM_WRITE 2
#define BT_GATT_PRIMARY_SERVICE(service) {&(service)->uuid, 0, NULL, NULL, NULL}
#define BT_GATT_CHARACTERISTIC(id, properties, permissions, read, write, value) \
    {(id), (properties) | (permissions), (read), (write), (value)}
#define BT_GATT_CCC(changed, permissions) {NULL, (permissions), NULL, NULL, (changed)}
#define BT_GATT_SERVICE_DEFINE(name, ...)                                   \
    const struct stub_attribute name##_attributes[] = {__VA_ARGS__};        \
    static const struct bt_gatt_service_static name = {(const void *)name##_attributes}
#define BT_CONN_CB_DEFINE(name) struct bt_conn_cb name
int bt_enable(void *ready);
int bt_le_adv_start(const void *parameters, const struct bt_data *data, size_t n, const struct bt_data *scan,
                    size_t n_scan);
struct bt_conn *bt_conn_ref(struct bt_conn *conn);
void bt_conn_unref(struct bt_conn *conn);
uint16_t bt_gatt_get_mtu(struct bt_conn *conn);
int bt_gatt_notify(struct bt_conn *conn, const struct bt_gatt_attr *attr, const void *data, uint16_t n);
ssize_t bt_gatt_attr_read(struct bt_conn *conn, const struct bt_gatt_attr *attr, void *to, uint16_t n_to,
                          uint16_t offset, const void *value, uint16_t n_value);

#endif
