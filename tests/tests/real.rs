//! Everything that needs a real Kafka or a real ClickHouse and can be beside others. One program, so that the servers are
//! started once; what needs the machine for itself, or is measured, is in programs of its own.

mod real {
    mod author;
    mod clickhouse;
    mod doctor;
    mod hosts;
    mod kafka;
    mod modules;
    mod offsets;
    mod out_of_range;
    mod poison;
    mod rebalance;
    mod registry;
    mod rewound;
    mod schemas;
    mod shared_reader;
    mod stall;
    mod storages;
    mod stuck;
    mod tls;
    mod verify;
    mod wait;
}
