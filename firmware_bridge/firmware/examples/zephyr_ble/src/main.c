/*
 * main.c: II, V1 and V5 from an ADS1293 over BLE, on Zephyr; written for an nRF52840 DK.
 *
 * A SKETCH: compiled against stubs, not tried on a board. One thread owns the encoder and the radio; the
 * data-ready interrupt counts and wakes it, the Bluetooth stack hands it commands through a queue.
 */
#include <zephyr/bluetooth/bluetooth.h>
#include <zephyr/bluetooth/conn.h>
#include <zephyr/bluetooth/gatt.h>
#include <zephyr/bluetooth/uuid.h>
#include <zephyr/drivers/gpio.h>
#include <zephyr/drivers/spi.h>
#include <zephyr/kernel.h>
#include <zephyr/random/random.h>

#include "ads1293.h"
#include "leadlift.h"

/* firmware_bridge/wire/gatt.py */
#define UUID(n) BT_UUID_128_ENCODE(n, 0x4b00, 0x4eeb, 0x9361, 0xf2feb3f9a05b)
#define UUID_SERVICE UUID(0xfba60001)
static const struct bt_uuid_128 service_uuid = BT_UUID_INIT_128(UUID_SERVICE);
static const struct bt_uuid_128 stream_uuid = BT_UUID_INIT_128(UUID(0xfba60002));
static const struct bt_uuid_128 control_uuid = BT_UUID_INIT_128(UUID(0xfba60003));
static const struct bt_uuid_128 info_uuid = BT_UUID_INIT_128(UUID(0xfba60004));

#define MTU_BYTES 247u /* as prj.conf asks for */
#define ATT_HEADER_BYTES 3u
/* In a frame: 25 notifications/s at 400 Hz on average. */
#define FEWEST_SAMPLES 11u
#define MOST_SAMPLES 21u
_Static_assert(LEADLIFT_SAMPLES_FRAME_BYTES(ADS1293_CHANNELS, MOST_SAMPLES, 24) <= MTU_BYTES - ATT_HEADER_BYTES,
               "the longest frame is one notification");
#define STREAM_ATTRIBUTE 2 /* the stream's value in the table below */

static const leadlift_stream_info_t info = {
    .device = "ADS1293 on Zephyr",
    .firmware = "1.0",
    .rate_millihertz = ADS1293_RATE_MILLIHERTZ,
    .nanovolts_per_lsb = ADS1293_NANOVOLTS_PER_LSB,
    .config_id = 1,
    .sample_bits = 24,
    .channels = ADS1293_CHANNELS,
    .leads = {LEADLIFT_LEAD_II, LEADLIFT_LEAD_V1, LEADLIFT_LEAD_V5},
};

static leadlift_encoder_t encoder;
static uint8_t session;
static bool sampling;
static int32_t counts[MOST_SAMPLES][ADS1293_CHANNELS];
static uint8_t n_counts, frame_samples, frame_lead_off;
static uint32_t first_us, taken_count;
static int64_t info_sent_ms;
static uint8_t frame[LEADLIFT_MAX_FRAME_BYTES];

static struct bt_conn *host;
static atomic_t subscribed_anew;
static atomic_t ready_count; /* conversions, counted by the interrupt */
static volatile uint32_t ready_us;
K_SEM_DEFINE(ready, 0, 1);
K_MSGQ_DEFINE(commands, sizeof(leadlift_command_t), 4, 4);

/* ---- GATT: a byte stream out, a byte stream in ---- */

static ssize_t on_control(struct bt_conn *conn, const struct bt_gatt_attr *attr, const void *data,
                          uint16_t n_bytes, uint16_t offset, uint8_t flags)
{
    static leadlift_receiver_t receiver; /* all writes come from the Bluetooth receive thread */
    leadlift_command_t command;
    for (uint16_t i = 0; i < n_bytes; i++) {
        if (leadlift_receive(&receiver, ((const uint8_t *)data)[i], &command)) {
            (void)k_msgq_put(&commands, &command, K_NO_WAIT); /* full: the host repeats itself */
        }
    }
    return n_bytes;
}

static ssize_t on_info(struct bt_conn *conn, const struct bt_gatt_attr *attr, void *data, uint16_t n_bytes,
                       uint16_t offset)
{
    uint8_t value[LEADLIFT_STREAM_INFO_FRAME_BYTES];
    leadlift_encoder_t once; /* an encoder of its own: session 0, sequence 0 */
    (void)leadlift_begin(&once, &info, 0);
    size_t n = leadlift_encode_stream_info(&once, value, sizeof value);
    return bt_gatt_attr_read(conn, attr, data, n_bytes, offset, value, (uint16_t)n);
}

static void on_subscribed(const struct bt_gatt_attr *attr, uint16_t value)
{
    if (value == BT_GATT_CCC_NOTIFY) {
        (void)atomic_set(&subscribed_anew, 1);
        k_sem_give(&ready);
    }
}

BT_GATT_SERVICE_DEFINE(service, BT_GATT_PRIMARY_SERVICE(&service_uuid),
                       BT_GATT_CHARACTERISTIC(&stream_uuid.uuid, BT_GATT_CHRC_NOTIFY, BT_GATT_PERM_NONE, NULL,
                                              NULL, NULL),
                       BT_GATT_CCC(on_subscribed, BT_GATT_PERM_READ | BT_GATT_PERM_WRITE),
                       BT_GATT_CHARACTERISTIC(&control_uuid.uuid,
                                              BT_GATT_CHRC_WRITE | BT_GATT_CHRC_WRITE_WITHOUT_RESP,
                                              BT_GATT_PERM_WRITE, NULL, on_control, NULL),
                       BT_GATT_CHARACTERISTIC(&info_uuid.uuid, BT_GATT_CHRC_READ, BT_GATT_PERM_READ, on_info,
                                              NULL, NULL));

static const struct bt_data advertisement[] = {
    BT_DATA_BYTES(BT_DATA_FLAGS, BT_LE_AD_GENERAL | BT_LE_AD_NO_BREDR),
    BT_DATA_BYTES(BT_DATA_UUID128_ALL, UUID_SERVICE),
};
static const struct bt_data scan_response[] = {
    BT_DATA(BT_DATA_NAME_COMPLETE, CONFIG_BT_DEVICE_NAME, sizeof(CONFIG_BT_DEVICE_NAME) - 1),
};

static void on_connected(struct bt_conn *conn, uint8_t error)
{
    if (error == 0u) {
        host = bt_conn_ref(conn);
    }
}

static void on_disconnected(struct bt_conn *conn, uint8_t reason)
{
    struct bt_conn *gone = host;
    host = NULL;
    if (gone != NULL) {
        bt_conn_unref(gone);
    }
    (void)bt_le_adv_start(BT_LE_ADV_CONN, advertisement, ARRAY_SIZE(advertisement), scan_response,
                          ARRAY_SIZE(scan_response));
}

BT_CONN_CB_DEFINE(connection_callbacks) = {.connected = on_connected, .disconnected = on_disconnected};

/* ---- the thread that encodes and sends ---- */

/* What nobody hears was counted all the same: the host learns of it from the counters. */
static void notify(const uint8_t *bytes, size_t n_bytes)
{
    struct bt_conn *conn = host;
    while (conn != NULL && n_bytes > 0u) {
        size_t most = bt_gatt_get_mtu(conn) - ATT_HEADER_BYTES;
        size_t n = MIN(n_bytes, most);
        if (bt_gatt_notify(conn, &service.attrs[STREAM_ATTRIBUTE], bytes, (uint16_t)n) != 0) {
            return; /* not subscribed, or gone: a frame that is cut is dropped by its CRC */
        }
        bytes += n;
        n_bytes -= n;
    }
}

static void send_info(void)
{
    info_sent_ms = k_uptime_get();
    notify(frame, leadlift_encode_stream_info(&encoder, frame, sizeof frame));
}

static void send_samples(void)
{
    if (n_counts > 0u) {
        notify(frame, leadlift_encode_samples(&encoder, &counts[0][0], n_counts, first_us, frame_lead_off,
                                              frame, sizeof frame));
        n_counts = 0;
    }
}

static void begin_frame(void)
{
    frame_samples = leadlift_frame_samples(&encoder, FEWEST_SAMPLES, MOST_SAMPLES);
    first_us = ready_us;
    frame_lead_off = 0;
}

static void begin_session(void)
{
    (void)leadlift_begin(&encoder, &info, ++session);
    n_counts = 0;
    taken_count = (uint32_t)atomic_get(&ready_count);
    send_info();
}

static void obey(const leadlift_command_t *command)
{
    bool start = command->type == LEADLIFT_START && !sampling;
    if (command->type == LEADLIFT_STOP) {
        sampling = false;
    }
    sampling = sampling || start;
    if (start) {
        begin_session();
    } else {
        send_info(); /* also the answer to SET_RATE: this device has one rate */
    }
}

static const struct gpio_dt_spec data_ready_pin = GPIO_DT_SPEC_GET(DT_ALIAS(ads1293_drdy), gpios);
static const struct spi_dt_spec bus = SPI_DT_SPEC_GET(DT_NODELABEL(ads1293), SPI_WORD_SET(8), 0);

static void transfer(void *context, const uint8_t *out, uint8_t *in, size_t n)
{
    const struct spi_buf tx = {.buf = (uint8_t *)out, .len = n};
    const struct spi_buf rx = {.buf = in, .len = n};
    const struct spi_buf_set tx_set = {.buffers = &tx, .count = 1}, rx_set = {.buffers = &rx, .count = 1};
    (void)spi_transceive_dt(&bus, &tx_set, &rx_set);
}

static void on_data_ready(const struct device *port, struct gpio_callback *callback, uint32_t pins)
{
    ready_us = (uint32_t)k_ticks_to_us_floor64((uint64_t)k_uptime_ticks());
    (void)atomic_inc(&ready_count);
    k_sem_give(&ready);
}

static void take_sample(void)
{
    uint32_t count = (uint32_t)atomic_get(&ready_count);
    if (!sampling || count == taken_count) {
        return;
    }
    uint32_t missed = count - taken_count - 1u; /* conversions that this thread was too late for */
    taken_count = count;
    if (missed > 0u) {
        send_samples(); /* a frame holds samples that follow on each other */
        leadlift_skip_samples(&encoder, missed);
    }
    if (n_counts == 0u) {
        begin_frame();
    }
    uint8_t lead_off;
    ads1293_read(transfer, NULL, counts[n_counts], &lead_off);
    frame_lead_off |= lead_off;
    n_counts++;
    if (n_counts == frame_samples) {
        send_samples();
    }
}

int main(void)
{
    static const uint8_t delimiter = LEADLIFT_DELIMITER;
    static struct gpio_callback callback;
    leadlift_command_t command;

    sys_rand_get(&session, sizeof session);
    if (bt_enable(NULL) != 0 || !ads1293_start(transfer, NULL)) {
        return 1;
    }
    (void)gpio_pin_configure_dt(&data_ready_pin, GPIO_INPUT);
    (void)gpio_pin_interrupt_configure_dt(&data_ready_pin, GPIO_INT_EDGE_TO_ACTIVE);
    gpio_init_callback(&callback, on_data_ready, BIT(data_ready_pin.pin));
    (void)gpio_add_callback(data_ready_pin.port, &callback);
    (void)bt_le_adv_start(BT_LE_ADV_CONN, advertisement, ARRAY_SIZE(advertisement), scan_response,
                          ARRAY_SIZE(scan_response));
    sampling = true;
    begin_session();
    for (;;) {
        (void)k_sem_take(&ready, K_MSEC(100)); /* also without samples there are commands and stream info */
        if (atomic_set(&subscribed_anew, 0) != 0) {
            notify(&delimiter, 1);
            send_info();
        }
        while (k_msgq_get(&commands, &command, K_NO_WAIT) == 0) {
            obey(&command);
        }
        if (k_uptime_get() - info_sent_ms >= LEADLIFT_STREAM_INFO_PERIOD_US / 1000) {
            send_info();
        }
        take_sample();
    }
}
