// The files of a split in a dataset of the Hub.
#pragma once
#include "data/source_files.h"
#include "hub/client.h"

namespace anneal {

// From the Hub's cache where they are there, else downloaded: no others than these. Throws UserError.
SourceFiles hub_dataset(const DatasetPlace& place, const HubLog& log);

}  // namespace anneal
