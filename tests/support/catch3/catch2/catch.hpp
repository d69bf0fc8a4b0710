// What Catch2 2 calls its one header, for Catch2 3, which has many.
#pragma once

#include <catch2/catch_all.hpp>
