// Every translation unit of the binding includes node-addon-api through here, so all are built alike.
#pragma once
#define NAPI_CPP_EXCEPTIONS
#define NODE_ADDON_API_DISABLE_DEPRECATED
// a worker thread that ends while a call is in flight must not bring the process down
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#include <napi.h>
